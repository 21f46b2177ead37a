"""One process at a time trains a fold under a KEY, and a second one can say whom it waits for."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_HOLDER = "holder.json"


@contextmanager
def fold_lock(folder: Path, timeout: float) -> Iterator[bool]:
    """Holds the lock of a checkpoint folder, made where there is none; yields False where it was not to be had.

    timeout: seconds to wait; negative for as long as it takes. A dead process holds no lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", timeout=timeout)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        (folder / _HOLDER).write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield True
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether some process holds a folder's lock now."""
    if not (folder / "lock").exists():
        return False
    try:
        with FileLock(folder / "lock", timeout=0):
            return False
    except Timeout:
        return True


def holder_of(folder: Path) -> str:
    """Who holds, or last held, a folder's lock, in words."""
    try:
        holder = json.loads((folder / _HOLDER).read_text())
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
