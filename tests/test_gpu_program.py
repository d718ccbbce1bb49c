"""How many kernels a train step launches on a GPU, compiled for one that need not be there."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gpu_program

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu_program.py"

PROGRAM = """
%body (p: (s32[], f32[2,2])) -> (s32[], f32[2,2]) {
  %p = (s32[], f32[2,2]{1,0}) parameter(0)
  %g = f32[2,2]{1,0} get-tuple-element(%p), index=1
  %gemm = (f32[2,2]{1,0}, s8[64]{0}) custom-call(%g, %g), custom_call_target="__cublas$gemm"
  %f = f32[2,2]{1,0} fusion(%g), kind=kLoop, calls=%fused
  ROOT %t = (s32[], f32[2,2]{1,0}) tuple(%i, %f)
}

ENTRY %main (a: f32[2,2]) -> f32[2,2] {
  %a = f32[2,2]{1,0} parameter(0)
  %b = f32[4]{0} bitcast(%a)
  %copy.1 = f32[2,2]{0,1} copy(%a)
  %two = (f32[2,2]{1,0}, /*index=1*/f32[2]{0}) fusion(%a), kind=kInput, calls=%fused.1
  %c = (f32[2,2]{1,0}, u8[0]{0}) custom-call(%a, %copy.1), custom_call_target="__cudnn$convForward"
  %while.1 = (s32[], f32[2,2]{1,0}) while(%t), condition=%cond, body=%body, \
backend_config={"known_trip_count":{"n":"5"}}
  ROOT %r = f32[2,2]{1,0} get-tuple-element(%while.1), index=1
}
"""


def test_launches_of_a_program_are_counted():
    """A copy and a fusion; a convolution; a loop of five times a product and a fusion."""
    assert gpu_program.count_launches(PROGRAM) == {
        "kernels": 2,
        "library_calls": 1,
        "loops": 1,
        "loop_kernels": 10,
    }


@pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda13_plugin") is None,
    reason="needs JAX's build for CUDA (benchmarks/requirements-gpu-program.txt)",
)
@pytest.mark.parametrize(
    ("network", "optimizer", "most"),
    [
        ("reference", "adam", 80),
        ("reference", "muon", 105),
        *(
            pytest.param(network, optimizer, most, marks=pytest.mark.nightly)
            for network in ("cnn", "best")
            for optimizer, most in (("adam", 130), ("muon", 165))
        ),
    ],
)
def test_a_step_launches_few_kernels(network, optimizer, most):
    """No more than benchmarks/README.md has, and some that another release of XLA may add."""
    command = [sys.executable, SCRIPT, f"--only={network}", f"--optimizers={optimizer}", "--dtypes=float32"]
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    row = dict(zip(done.stdout.splitlines()[0].split(), done.stdout.splitlines()[1].split(), strict=False))
    assert int(row["kernels"]) <= most
    assert int(row["library_calls"]) < (30 if network == "reference" else 55)
    assert int(row["loops"]) == (optimizer == "muon")
