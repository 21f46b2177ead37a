"""The lock of a fold's folder: one process at a time trains a fold under a KEY, and others can say which one it is."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from audiocnn.checkpoints.folder import LOCK, LOCK_HOLDER


@contextmanager
def fold_lock(folder: Path, timeout: float) -> Iterator[bool]:
    """Takes the lock of a checkpoint folder, which is made where it is missing; yields whether it got the lock.

    timeout: seconds to wait; negative for as long as it takes. A dead process holds no lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=timeout)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        (folder / LOCK_HOLDER).write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield True
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether some process holds a folder's lock now."""
    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True


def holder_of(folder: Path) -> str:
    """Who holds, or last held, a folder's lock, in words."""
    try:
        holder = json.loads((folder / LOCK_HOLDER).read_text())
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
