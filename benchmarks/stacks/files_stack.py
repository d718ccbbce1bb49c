"""Reading the data file: ours, ours from its cache, and the loop over strings that most projects have."""

import os
import tempfile

from stacks import Work


def prepare(benchmark: str, network: str, stack: str) -> Work:
    path = os.environ["FER_JAX_BENCHMARK_CSV"]
    if stack == "python":
        return Work(lambda calls: [_split_and_int(path) for _ in range(calls)], 0)
    # A cache of its own, filled by the first call, which is not timed.
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
    from fer_jax.data.load import load_splits

    cached = stack == "fer_jax-cached"

    def run(calls):
        for _ in range(calls):
            load_splits(path, validation_fraction=0.1, seed=0, cache=cached)

    return Work(run, 0)


def _split_and_int(path):
    import numpy as np
    import pandas as pd

    table = pd.read_csv(path)
    column = "pixels" if "pixels" in table else "feature"
    pixels = [[int(value) for value in row.split()] for row in table[column]]
    return np.array(pixels, np.uint8).reshape(-1, 48, 48, 1)
