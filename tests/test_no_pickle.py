"""No file that we read can run code: nothing is unpickled, and no text is executed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOADING = re.compile(
    r"""(?mx)
    ^\s*(import|from)\s+(pickle|cPickle|_pickle|dill|cloudpickle|joblib|shelve|marshal|jsonpickle)\b
    | \bread_pickle\b | \bpickle\.loads?\b | \bto_pickle\b
    | allow_pickle\s*=\s*(?!False)
    | \btorch\.(load|jit)\b | \bjoblib\.load\b | \byaml\.(load|unsafe_load|full_load)\b
    | (?<![\w.])(eval|exec)\s*\( | \b__import__\s*\(
    """
)
FILES = sorted([ROOT / "main.py", *(ROOT / "fer_jax").rglob("*.py"), *(ROOT / "configs").rglob("*.py")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled(path):
    found = LOADING.search(path.read_text(encoding="utf-8"))
    assert found is None, f"{path}: {found[0].strip()!r}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_numpy_loads_say_so(path):
    """numpy.load refuses pickles by default today; ours do not hang on that."""
    for call in re.findall(r"np\.load\(.*", path.read_text(encoding="utf-8")):
        assert "allow_pickle=False" in call


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "    from joblib import load",
        "np.load(file, allow_pickle=True)",
        "torch.load(path)",
        "eval(text)",
        "x = exec (text)",
        "yaml.load(text)",
        "pd.read_pickle(path)",
    ],
)
def test_the_search_finds(line):
    assert LOADING.search(line)


@pytest.mark.parametrize("line", ["model.eval()", "jax.eval_shape(f)", "re_eval(x)", "allow_pickle=False"])
def test_the_search_is_not_too_keen(line):
    assert not LOADING.search(line)
