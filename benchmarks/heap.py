"""The heap of a fold's worker, for benchmarks that train in their own process."""

import os
import sys

from audiocnn.folds.pool import KEEP_LARGE_BLOCKS


def keep_large_blocks() -> None:
    """Starts this process anew with a worker's variables, unless it has them: glibc reads them at the start."""
    if not KEEP_LARGE_BLOCKS.items() <= os.environ.items():
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **KEEP_LARGE_BLOCKS})
