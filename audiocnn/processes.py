"""This process: stopping politely, ending with the one that it works for, and its cores."""

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType

import psutil

from audiocnn.errors import Stopped

_POLL = 0.5  # seconds between two looks at the process we work for
_GRACE = 4.0  # seconds for the current batch, once that process is gone: with a stage between, 9 s for its workers


class StopSignal:
    """From its creation on, the first SIGINT or SIGTERM is noted for check(), and the second ends the process."""

    def __init__(self) -> None:
        self.received: int | None = None
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + signum)
        self.received = signum

    def check(self) -> None:
        """Raises Stopped where a signal has come."""
        if self.received is not None:
            raise Stopped(self.received)


def end_with(process: psutil.Process) -> None:
    """Ends this process soon after another one has ended: SIGTERM to itself first, SIGKILL's effect _GRACE s later.

    A thread that polls, because Linux's parent-death signal follows the parent's thread and other systems have none.
    """
    threading.Thread(target=_watch, args=(process,), daemon=True).start()


def _watch(process: psutil.Process) -> None:
    while _is_alive(process):
        time.sleep(_POLL)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(128 + signal.SIGTERM)


def _is_alive(process: psutil.Process) -> bool:
    """Whether this very process (not a later one under its number) still runs."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def usable_cores() -> int:
    """The cores that this process may use, which a container or `taskset` may limit below the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_memory() -> int:
    """The bytes that this machine has free, or that its container's limit leaves, where that is less."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (Path("/sys/fs/cgroup", name).read_text() for name in ("memory.max", "memory.current"))
        return min(free, int(limit) - int(used))
    except (OSError, ValueError):  # no such limit
        return free
