"""Record what a result depends on besides its config, and compare it when a run is resumed."""

import json
import os
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def environment(data: dict[str, Any], networks: dict[str, str]) -> dict[str, Any]:
    """Collect versions, commit, devices, flags, ``data``, and ``networks``: digests of those it builds on."""
    import jax

    return {
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "git_commit": _git_commit(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "cpu_count": os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "data": data,
        "networks": networks,
    }


def environment_changes(path: Path, now: dict[str, Any]) -> list[str]:
    """Environment fields that can change exact results and differ from those in the config.json ``path``.

    Returns a text for each field; none if the file is missing or not readable.
    """
    try:
        before = json.loads(path.read_text(encoding="utf-8"))["environment"]
        pairs = {name: (before["versions"].get(name), new) for name, new in now["versions"].items()}
        for name in ("devices", "cpu_count", "xla_flags"):
            pairs[name] = repr(before.get(name)), repr(now[name])
        # A run from before these digests were saved counts as unchanged.
        networks = before.get("networks", now["networks"])
        other = [f"{n} with other weights" for n, digest in now["networks"].items() if digest != networks[n]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return [
        f"{name} {old} there, {name} {new} here" for name, (old, new) in pairs.items() if old != new
    ] + other


def _git_commit() -> str | None:
    """The commit of the code that runs; None outside a checkout."""
    command, folder = ["git", "rev-parse", "HEAD"], Path(__file__).parent
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
