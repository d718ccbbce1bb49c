"""What must be set before JAX starts its backend."""

import os

_CPU_FLAG = "--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION"
_TESTED_JAXLIB = ((0, 10), (0, 13))
"""First jaxlib the flag was measured with, and the first it was not: XLA aborts on a flag it lacks."""


def configure_xla() -> None:
    """Run convolutions on a CPU by XLA's own kernels: two to three times faster than the default's.

    Changes ``XLA_FLAGS`` in the environment, so it must come before the first use of a device. Does
    nothing where the user's flags name the same option, or jaxlib is not one the flag was tested with.
    """
    import jaxlib.version

    version = tuple(int(part) for part in jaxlib.version.__version__.split(".")[:2])
    flags = os.environ.get("XLA_FLAGS", "")
    if _TESTED_JAXLIB[0] <= version < _TESTED_JAXLIB[1] and "ynn_fusion_type" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_CPU_FLAG}".strip()
