"""Processes that tests start: the environment that they see, waiting for what they do, and their end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from audiocnn.config.arithmetic import PORTABLE

_OF_THE_USER = ("AUDIOCNN_", "DVC_", "GIT_", "HF_", "NETRC", "PYTEST_", "WANDB_", *PORTABLE)


def environment(**more: str) -> dict[str, str]:
    """This process's environment with this Python's commands first, one thread a process, and no user's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_USER)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    ours = {"AUDIOCNN_LOG_SECONDS": "0", "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1"}  # a line for each epoch
    return {**kept, "PATH": path, **ours, **more}


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Waits for a condition; seconds are far more than it needs, since other work may share the machine."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextmanager
def started(setting: dict[str, Any], *command: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A command that runs meanwhile, its output in a file; it and all that it started are gone at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, **setting, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        family = [psutil.Process(process.pid), *children(process.pid)] if process.poll() is None else []
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()


def children(pid: int) -> list[psutil.Process]:
    """All processes that a process started, and those that they started."""
    found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    return found
