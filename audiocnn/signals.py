"""Stopping politely: the first signal asks, the second ends at once, and no process outlives the one it works for."""

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType

import psutil

from audiocnn.errors import Stopped

_POLL = 0.5  # seconds between two looks at the process we work for
_GRACE = 5.0  # seconds for the current batch, once that process is gone


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


def dvc_process() -> psutil.Process | None:
    """The dvc that runs this process as a stage, or None."""
    for process in psutil.Process().parents():
        try:
            words = process.cmdline()[:3]
        except psutil.Error:
            continue
        if any(Path(word).name == "dvc" for word in words):
            return process
    return None


def end_with_dvc() -> None:
    """Ends this stage when the dvc that runs it is gone. Raises Stopped where it is gone already."""
    dvc = dvc_process()
    if dvc is not None:
        die_with(dvc)
    elif "DVC_STAGE" in os.environ:  # dvc sets it for every stage, so it started us, and was killed since
        raise Stopped(signal.SIGTERM)


def die_with(process: psutil.Process) -> None:
    """Ends this process when another one is gone: with SIGTERM to itself, and for good soon after.

    A thread that polls, because Linux's parent-death signal follows the parent's thread and other systems have none.
    """
    threading.Thread(target=_outlive_no_longer, args=(process,), daemon=True).start()


def _outlive_no_longer(process: psutil.Process) -> None:
    while is_alive(process):
        time.sleep(_POLL)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(128 + signal.SIGTERM)


def is_alive(process: psutil.Process) -> bool:
    """Whether this very process (not a later one under its number) still runs."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
