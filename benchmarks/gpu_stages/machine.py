"""What the figures are measured on."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import date

from gpu_stages import Setting

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "torch", "nvidia-cudnn-cu13", "nvidia-cudnn-cu12")


def run(setting: Setting, tell) -> None:
    tell(date=date.today().isoformat(), python=platform.python_version(), cores=os.cpu_count())
    for package in _PACKAGES:
        try:
            tell(**{package: importlib.metadata.version(package)})
        except importlib.metadata.PackageNotFoundError:
            continue
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        tell(driver=subprocess.run(query, capture_output=True, text=True).stdout.strip())
    except OSError:
        pass
    import jax

    tell(platform=jax.default_backend(), card=jax.devices()[0].device_kind, devices=jax.device_count())
