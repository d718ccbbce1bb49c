"""The layout of the package, measured over its syntax trees: who imports whom, how long functions are.

The rules are told in CONTRIBUTING.md.
"""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fer_jax"
MODES = ("train", "evaluate", "predict", "explain", "export", "serve")
SHARED = ("data", "transforms", "models", "checkpoints", "runtime")
BETWEEN_MODES = {("train", "evaluate"), ("serve", "explain")}
RUNS = {"fer_jax.train.seeds": {"fer_jax.train.run"}}
"""Modules that may import the run.py of a mode, besides modes.py."""
MOST_FILES, MOST_LINES, MOST_PARAMETERS, MOST_CALLS = 8, 45, 8, 6


@functools.cache
def trees():
    """Module name -> syntax tree, of the package and main.py."""
    paths = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in PACKAGE.rglob("*.py")}
    paths = {name.removesuffix(".__init__"): path for name, path in paths.items()} | {
        "main": ROOT / "main.py"
    }
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in paths.items()}


def imports(tree, known):
    """The modules of ours that a tree imports, anywhere in it, with the names that it gives them."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found[alias.asname or alias.name] = whole if whole in known else node.module
        elif isinstance(node, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in node.names}
    return found


def edges(sources):
    return {(name, other) for name, t in sources.items() for other in imports(t, sources).values()}


def folder(module):
    parts = module.split(".")
    return parts[1] if parts[0] == "fer_jax" and len(parts) > 1 else None


def forbidden(sources):
    """Each import that the rule forbids, as ``importer -> imported``."""
    found = []
    for name, other in sorted(edges(sources)):
        here, there = folder(name), folder(other)
        wrong = (
            (here in SHARED and there in MODES)
            or (here in MODES and there in MODES and here != there and (here, there) not in BETWEEN_MODES)
            or (re.fullmatch(r"fer_jax\.\w+\.run", other) and other not in RUNS.get(name, set()))
            or (here == "data" and other.split(".")[0] in ("jax", "flax", "optax", "orbax"))
        )
        if wrong:
            found.append(f"{name} -> {other}")
    return found


def test_who_imports_whom():
    assert forbidden(trees()) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("fer_jax.checkpoints.weights", "from fer_jax.train import state"),
        ("fer_jax.predict.table", "from fer_jax.evaluate.metrics import accuracy"),
        ("fer_jax.evaluate.step", "import fer_jax.train.step"),
        ("fer_jax.serve.about", "from fer_jax.serve import run"),
        ("fer_jax.train.loop", "from fer_jax.train.run import run"),
        ("fer_jax.data.faces", "import jax.numpy as jnp"),
    ],
)
def test_the_rule_finds_what_it_forbids(module, line):
    sources = trees() | {module: ast.parse(line)}
    assert len(forbidden(sources)) == 1


def test_no_circles():
    """Taking away modules that import none of those left, until none is left."""
    pairs = edges(trees())
    left = {name: {o for n, o in pairs if n == name and o in trees()} - {name} for name in trees()}
    while done := [name for name, others in left.items() if not others & left.keys()]:
        for name in done:
            del left[name]
    assert left == {}


def test_few_files_stand_beside_the_folders():
    names = sorted(path.name for path in PACKAGE.iterdir() if path.is_file())
    assert len(names) <= MOST_FILES, names
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__", "weights"}
    assert folders == {*MODES, *SHARED}


def functions(tree):
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_functions_are_short():
    """With their docstrings."""
    long = [
        f"{name}.{f.name}: {f.end_lineno - f.lineno + 1} lines"
        for name, tree in trees().items()
        for f in functions(tree)
        if f.end_lineno - f.lineno + 1 > MOST_LINES
    ]
    assert long == []


def test_functions_take_few_parameters():
    """Except keyword options of public functions."""
    many = []
    for name, tree in trees().items():
        for f in functions(tree):
            count = len(f.args.posonlyargs) + len(f.args.args)
            if f.name.startswith("_"):
                count += len(f.args.kwonlyargs)
            if count > MOST_PARAMETERS:
                many.append(f"{name}.{f.name}: {count} parameters")
    assert many == []


BOUND = {
    ("fer_jax.runtime.command_line.main", "run_mode"): "fer_jax.train.run.run",
    ("fer_jax.train.loop.fit", "step"): "fer_jax.train.step.make_loop_step.loop_step",
    ("fer_jax.train.step.make_loop_step.loop_step", "train_step"): (
        "fer_jax.train.step.make_train_step.train_step"
    ),
}
"""Calls through a value, as they are written in a function: what the value is in training."""


def calls():
    """Function -> functions of ours that it calls or passes on."""
    found = {}
    for name, tree in trees().items():
        known = imports(tree, trees())
        known |= {
            a.asname or a.name: f"{n.module}.{a.name}"
            for n in ast.walk(tree)
            if isinstance(n, ast.ImportFrom) and n.module
            for a in n.names
            if f"{n.module}.{a.name}" not in trees()
        }
        for qualified, f in qualified_functions(tree, name):
            here = {top.name: f"{name}.{top.name}" for top in tree.body if isinstance(top, ast.FunctionDef)}
            targets = found.setdefault(qualified, set())
            for node in ast.walk(f):
                if isinstance(node, ast.Attribute | ast.Name):
                    written = ast.unparse(node)
                    first, _, rest = written.partition(".")
                    whole = {**known, **here}.get(first, first) + (f".{rest}" if rest else "")
                    targets.add(BOUND.get((qualified, written), whole))
    return found


def qualified_functions(tree, prefix):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = f"{prefix}.{node.name}"
            if isinstance(node, ast.FunctionDef):
                yield name, node
            yield from qualified_functions(node, name)


def test_few_calls_from_main_to_the_loss():
    """main, train.run.run, fit, loop_step, train_step, loss."""
    main = "fer_jax.runtime.command_line.main"
    graph, reached = calls(), {main: [main]}
    for bound in BOUND:
        assert BOUND[bound] in graph[bound[0]], bound
        assert BOUND[bound] in graph, bound
    queue = [main]
    while queue:
        name = queue.pop(0)
        for other in sorted(graph.get(name, ())):
            if other in graph and other not in reached:
                reached[other] = [*reached[name], other]
                queue.append(other)
    path = reached["fer_jax.train.step.loss"]
    assert len(path) <= MOST_CALLS, path
    assert [name.split(".")[-1] for name in path] == ["main", "run", "fit", "loop_step", "train_step", "loss"]


def test_one_function_compares_probabilities_with_labels():
    """Confusion, cross-entropy and bins of confidence are added up in one place."""
    adding = [q for q, targets in calls().items() if "fer_jax.evaluate.calibration.add_to_bins" in targets]
    assert adding == ["fer_jax.evaluate.step.add_scores"]
