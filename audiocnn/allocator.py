"""Memory that stays with the process, because asking the system for it again is slow."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h
_NEVER = 2**31 - 1
_GROWTH = 64 << 20  # bytes


def keep_large_blocks() -> None:
    """Tells glibc to reuse large blocks instead of handing them back at every free. Call it before the first tensor.

    A step's activations of some 100 MB would otherwise be mapped and page-faulted anew each time, a third of the step.
    Other C libraries are left alone.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # not glibc
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
    mallopt(_M_TOP_PAD, _GROWTH)
