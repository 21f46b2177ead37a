"""The environment of a worker, for processes that train themselves: libraries read it when they are loaded."""

import os
import sys

from audiocnn.folds.pool import worker_environment


def start_as_worker(arithmetic: str = "portable") -> None:
    """Starts this process again with a worker's variables, unless it has them. Call it before torch is loaded."""
    variables = worker_environment(arithmetic)
    if variables != dict(os.environ):
        os.execve(sys.executable, sys.orig_argv, variables)
