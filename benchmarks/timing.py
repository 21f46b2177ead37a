"""Wall time of calls and of commands, for all benchmarks."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """The seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def seconds(command: Sequence[str], folder: Path | None = None) -> float:
    """The seconds that a command takes, in a folder or in the current one."""
    return timed(lambda: run_quietly(command, folder))[0]


def ratio(above: Sequence[float], below: Sequence[float]) -> str:
    """The ratio of two series that were measured in turn, pair by pair: its median and its range."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def run_quietly(command: Sequence[str], folder: Path | None = None) -> None:
    """Runs a command with this interpreter's tools first on the PATH, and shows its output only where it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, check=False)
    if done.returncode:
        sys.stderr.buffer.write(done.stdout + done.stderr)
        done.check_returncode()
