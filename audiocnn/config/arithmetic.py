"""train.arithmetic: what makes every x86-64 CPU with AVX2 and FMA compute the same bits.

Libraries choose their instructions by the CPU, and sums in other orders round otherwise. Each reads one variable, once,
when it is loaded, so a training process gets them when it starts:

- MKL_CBWR: MKL's products differ by vendor; its conditional numerical reproducibility has a mode that does not look.
- ONEDNN_MAX_CPU_ISA: oneDNN's convolutions differ by the width of vectors.
- ATEN_CPU_CAPABILITY: so do torch's own kernels.

Deep-MI/FastSurfer (pull request 892, 2026) sets the same three. tests/pipeline/test_other_cpus.py shows that they
suffice, on emulated CPUs of two vendors.
"""

import os
import platform
from collections.abc import Mapping

from audiocnn.errors import UserError

PORTABLE = {"MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def with_arithmetic(environment: Mapping[str, str], arithmetic: str) -> dict[str, str]:
    """An environment for a process that computes by train.arithmetic. Under `native` the user's own settings stay."""
    return {**environment, **(PORTABLE if arithmetic == "portable" and is_x86_64() else {})}


def is_x86_64() -> bool:
    """Whether this is the kind of CPU for which there is a portable arithmetic."""
    return platform.machine().lower() in ("x86_64", "amd64")


def check_arithmetic(arithmetic: str) -> None:
    """Raises UserError where this CPU cannot compute by train.arithmetic.

    Called once torch is loaded, by then with_arithmetic must have made this process's environment.
    """
    if arithmetic == "native" or not is_x86_64():
        return
    import torch

    if not torch.cpu._is_avx2_supported():  # every CPU with AVX2 that torch runs on has FMA as well
        raise UserError(
            "train.arithmetic is portable, which takes a CPU with AVX2 and FMA, and this one has none: "
            "set train.arithmetic: native in params.yaml."
        )
    assert PORTABLE.items() <= os.environ.items(), "the process was not started with_arithmetic"
    assert torch.backends.cpu.get_cpu_capability() == "AVX2", "torch was loaded before with_arithmetic"
