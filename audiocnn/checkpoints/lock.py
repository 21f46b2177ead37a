"""The lock of a fold's folder: one process at a time trains a fold under a KEY, and others can say which one it is."""

import errno
import fcntl
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from audiocnn.checkpoints.folder import LOCK, LOCK_HOLDER
from audiocnn.errors import UserError


@contextmanager
def fold_lock(folder: Path, timeout: float) -> Iterator[bool]:
    """Takes the lock of a checkpoint folder, which is made where it is missing; yields whether it got the lock.

    timeout: seconds to wait; negative for as long as it takes. A dead process holds no lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_locks(folder)
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


def _check_locks(folder: Path) -> None:
    """Raises UserError where the file system has no locks: waiting for one would never end."""
    with tempfile.TemporaryFile(dir=folder) as file:  # not the lock itself, which others may try to take just now
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.ENOSYS:  # there filelock has another way
                return
            raise UserError(
                f"{folder} is on a file system without locks ({error.strerror}): name a folder on another one in "
                "AUDIOCNN_CHECKPOINTS."
            ) from None


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
    """Who holds, or last held, a folder's lock, in words. Of another host's, also since when, and what to do."""
    try:
        holder = json.loads((folder / LOCK_HOLDER).read_bytes())
        words = f"process {holder['pid']} on {holder['host']}"
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime((folder / LOCK_HOLDER).stat().st_mtime))
        is_far = holder["host"] != socket.gethostname()
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
    return f"{words} since {since} (where that host is gone, remove {folder / LOCK})" if is_far else words
