"""Compiles the train step for an NVIDIA GPU on a machine that has none, and counts what a step launches.

python3.12 -m venv .venv-gpu-program
.venv-gpu-program/bin/pip install -r requirements.txt -r benchmarks/requirements-gpu-program.txt
.venv-gpu-program/bin/python benchmarks/gpu_program.py [--only=reference,cnn,best] [--optimizers=adam,muon]
    [--dtypes=float32,bfloat16] [--output=FILE.json] [--hlo=FOLDER]

The step is that of main.py on batches of 128 faces of 48 pixels, with augmentation, compiled for an H200
(h200.txtpb). Each launch costs a few microseconds whatever it computes, and a small network computes little.
Without a card XLA cannot try out its kernels, so this shows neither times nor the seconds of a compilation;
the counts are nearly those of a card.

Prints a table, and writes it as a JSON list of objects:
  network, optimizer, dtype
  kernels: that the main program launches itself, once a step each: fusions, copies, sorts and the like
  library_calls: of cuDNN (convolutions), cuBLAS (products) and others in the main program
  loops: in the main program
  loop_kernels: launches within loops, of both kinds, times the iterations (1 where XLA does not know them)
  scratch_mb: memory beside arguments and results, MiB
"""

import argparse
import contextlib
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))

from fer_jax.runtime.startup import configure_xla

if __name__ == "__main__":
    configure_xla()  # before the first import of JAX, and as if it were to use a GPU
    # The plugin looks for a driver unless it is told not to.
    os.environ |= {
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
        # A program that comes from the cache has no text.
        "JAX_ENABLE_COMPILATION_CACHE": "false",
    }

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh

from configs import best, cnn
from fer_jax.data.faces import Faces, Splits
from fer_jax.runtime.command import plain
from fer_jax.runtime.sharding import replicated, state_placement
from fer_jax.train import recipe
from fer_jax.train.batches import Batch
from fer_jax.train.epochs import EpochTotals
from stacks import BATCH_SIZE, random_faces

NETWORKS = ("reference", "cnn", "best")
OPTIMIZERS = ("adam", "muon")
DTYPES = ("float32", "bfloat16")

_CONFIGS = {"reference": cnn, "cnn": cnn, "best": best}
_LIBRARY = ("custom-call", "custom-call-start")
_LOOPS = ("while", "call", "conditional")
_NO_LAUNCH = (
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id"),
    *("opt-barrier", "copy-done", "custom-call-done", "async-done"),
)

_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.-]+ = .*?[\])}] ([a-z][a-z0-9-]*)\(", re.MULTILINE)
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) [^\n]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_BODY = re.compile(r" while\(.*?body=%?([\w.-]+)(?:.*?\"known_trip_count\":\{\"n\":\"(\d+)\")?")


def topology_mesh() -> Mesh:
    """One H200 that need not be there, as devices to compile for.

    Raises an error of JAX's where its build for CUDA is not installed.
    """
    target = (Path(__file__).parent / "h200.txtpb").read_text()
    topology = topologies.get_topology_desc(platform="cuda", target_config=target, topology="1x1x1")
    return Mesh(np.array(topology.devices), ("data",), axis_types=(AxisType.Auto,))


def config_of(network: str, optimizer: str, dtype: str) -> dict[str, Any]:
    """The config of a run of main.py, with augmentation."""
    config = plain(_CONFIGS[network].get_config())
    config |= {"optimizer": optimizer, "augment": True, "batch_size": BATCH_SIZE}
    config["cnn"]["dtype"] = dtype
    return config


def compile_step(config: dict[str, Any], mesh: Mesh, *, reference: bool = False) -> jax.stages.Compiled:
    """Compile the train step of a config, or of the network ``reference`` with that config's recipe."""
    images, labels = random_faces(config["batch_size"])
    faces = Faces(images, labels, np.arange(len(labels)).astype(str))
    with _reference_network() if reference else contextlib.nullcontext():
        state, _, program, plan = recipe.make_recipe(config, Splits(faces, faces, None), mesh)
    order = np.arange(len(labels), dtype=np.int32)[None]
    others = EpochTotals().packed(), Batch(images, labels), order, np.int32(0), plan.step_key

    def shape(leaf: Any, placement: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(jnp.shape(leaf), leaf.dtype, sharding=placement)

    state = jax.tree.map(shape, state, state_placement(mesh, state))
    others = jax.tree.map(lambda leaf: shape(leaf, replicated(mesh)), others)
    return program.step.lower(state, *others).compile()


def _reference_network() -> contextlib.AbstractContextManager:
    """Let recipes have the plain network of benchmarks/README.md."""
    from stacks.fer_jax_stack import Reference

    def create(name: str, options: dict[str, Any], num_classes: int) -> Reference:
        return Reference(jnp.dtype(options["dtype"]), num_classes)

    return mock.patch.object(recipe, "create_model", create)


def count_launches(text: str) -> dict[str, int]:
    """Count ``kernels``, ``library_calls``, ``loops`` and ``loop_kernels`` in a compiled program's text."""
    computations = {name: body for _, name, body in _COMPUTATION.findall(text)}
    (main,) = (body for entry, _, body in _COMPUTATION.findall(text) if entry)
    kernels, library_calls, loops = _counts(main)
    within = sum(
        int(trips or 1) * sum(_counts(computations[name])[:2]) for name, trips in _BODY.findall(main)
    )
    return {"kernels": kernels, "library_calls": library_calls, "loops": loops, "loop_kernels": within}


def _counts(computation: str) -> tuple[int, int, int]:
    """Kernels, library calls and loops of a computation."""
    names = [name for name in _INSTRUCTION.findall(computation) if name not in _NO_LAUNCH]
    library_calls, loops = (sum(name in kind for name in names) for kind in (_LIBRARY, _LOOPS))
    return len(names) - library_calls - loops, library_calls, loops


def measure(network: str, optimizer: str, dtype: str, mesh: Mesh, hlo: Path | None) -> dict[str, Any]:
    """Compile one combination, and return its object of the list."""
    config = config_of(network, optimizer, dtype)
    compiled = compile_step(config, mesh, reference=network == "reference")
    text = compiled.as_text()
    if hlo:
        (hlo / f"{network}-{optimizer}-{dtype}.txt").write_text(text)
    memory = compiled.memory_analysis().temp_size_in_bytes >> 20
    name = {"network": network, "optimizer": optimizer, "dtype": dtype}
    return name | count_launches(text) | {"scratch_mb": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    choices = {"only": NETWORKS, "optimizers": OPTIMIZERS, "dtypes": DTYPES}
    for flag, names in choices.items():
        parser.add_argument(f"--{flag}", default=",".join(names), help="with commas between")
    parser.add_argument("--output", type=Path, help="a JSON file to write")
    parser.add_argument("--hlo", type=Path, help="a folder for the texts of the compiled programs")
    options = parser.parse_args()
    chosen = {flag: getattr(options, flag).split(",") for flag in choices}
    for flag, names in chosen.items():
        if unknown := set(names) - set(choices[flag]):
            parser.error(f"--{flag}: unknown {unknown.pop()!r}; choose from {','.join(choices[flag])}")
    if options.hlo:
        options.hlo.mkdir(parents=True, exist_ok=True)
    mesh, rows = topology_mesh(), []
    columns = ("kernels", "library_calls", "loops", "loop_kernels", "scratch_mb")
    print(f"{'network':<10}{'optimizer':<10}{'dtype':<10}" + "".join(f"{name:>14}" for name in columns))
    for network in chosen["only"]:
        for optimizer in chosen["optimizers"]:
            for dtype in chosen["dtypes"]:
                started = time.monotonic()
                row = measure(network, optimizer, dtype, mesh, options.hlo)
                rows.append(row)
                cells = "".join(f"{row[name]:>14}" for name in columns)
                seconds = time.monotonic() - started
                print(f"{network:<10}{optimizer:<10}{dtype:<10}{cells}   ({seconds:.0f} s)", flush=True)
                if options.output:
                    options.output.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"jax {jax.__version__}, {mesh.devices.flat[0].device_kind}")


if __name__ == "__main__":
    main()
