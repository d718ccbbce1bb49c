"""What a run leaves on disk beside its checkpoints, and where."""

import json
import os
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fer_jax.data.compressed import replacing

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def default_workdir(config_name: str, dataset: str | None) -> Path:
    """``runs/<config>``, and ``runs/<config>-synthetic`` for the built-in faces.

    ``dataset`` is None where no data set is named: a synthetic run is then used only when asked for.
    """
    return Path("runs") / (f"{config_name}-synthetic" if dataset == "synthetic" else config_name)


def plain(config: ConfigDict) -> dict[str, Any]:
    """The config as JSON would give it back: dicts, lists and scalars."""
    return json.loads(json.dumps(config.to_dict()))


def environment(data: dict[str, Any], networks: dict[str, str]) -> dict[str, Any]:
    """What a result depends on beside its config: versions, commit, devices, flags, data, other networks.

    ``networks``: digests of the trained ones that it builds on.
    """
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
    """What bits depend on and differs between the ``environment`` in the config.json ``path`` and ``now``.

    Empty where the file is missing or not readable.
    """
    try:
        before = json.loads(path.read_text(encoding="utf-8"))["environment"]
        pairs = [
            (f"{name} {before['versions'].get(name)}", f"{name} {version}")
            for name, version in now["versions"].items()
        ]
        pairs += [
            (f"{name} {before.get(name)!r}", f"{name} {now[name]!r}")
            for name in ("devices", "cpu_count", "xla_flags")
        ]
        # Of a run that is older than these digests nothing is known.
        networks = before.get("networks", now["networks"])
        other = [f"{n} with other weights" for n, digest in now["networks"].items() if digest != networks[n]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return [f"{old} there, {new} here" for old, new in pairs if old != new] + other


def _git_commit() -> str | None:
    """The commit of the code that runs; None outside a checkout."""
    try:
        here = Path(__file__).parent
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes one JSON object a line, atomically: the file as a whole, so that no line comes twice."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_text(path: Path, text: str) -> None:
    """Writes ``text``, atomically; the folder is made if need be.

    A file's name in it that is not UTF-8 is written as the file system has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
