"""Strict settings for every test: what is implicit in our own code is an error here."""

import tempfile

import jax
import pytest

from fer_jax.evaluate import plots
from fer_jax.train import outputs

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)

# Most of the tests' time would be the compiler's, with the same programs again and again: each test makes
# its functions anew. Not shared with other processes, for JAX does not write its entries atomically.
_compiled = tempfile.TemporaryDirectory(prefix="fer_jax-tests-")
jax.config.update("jax_compilation_cache_dir", _compiled.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def pytest_unconfigure():
    _compiled.cleanup()


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's cache of parsed files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def no_plots():
    """Training draws no pictures, which take longer than the rest of a tiny run."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in [
            (outputs, "save_curves"),
            (plots, "save_confusion_matrix"),
            (plots, "save_reliability"),
        ]:
            patch.setattr(module, name, lambda *_, **__: None)
        yield
