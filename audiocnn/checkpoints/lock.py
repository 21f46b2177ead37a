"""The lock of a fold's folder: one process at a time trains a fold under a KEY, and others can say which one it is.

The system frees a dead process's lock, unless it died with its host and the file server has not noticed. So whoever
holds a lock touches its note (holder.json) again and again, and who waits for a host that has long stopped doing so
takes the fold over. Should that host come back, it finds another's note and ends.
"""

import errno
import fcntl
import json
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from audiocnn.checkpoints.folder import LOCK, LOCK_HOLDER
from audiocnn.errors import UserError
from audiocnn.files import write_atomically

_BEAT = 15.0  # seconds from one touch to the next
_DEAD_AFTER = 120.0  # seconds without one: a busy file server may lose some
_TAKEOVER = "takeover"  # the lock of those who take a fold over


class _Holder(NamedTuple):
    """Who holds a lock. since: in words. silent: seconds since it last gave a sign, by the file system's clock."""

    pid: int
    host: str
    since: str
    silent: float


@contextmanager
def fold_lock(folder: Path, timeout: float) -> Iterator[bool]:
    """Takes the lock of a checkpoint folder, which is made where it is missing; yields whether it got the lock.

    timeout: seconds to wait; negative for as long as it takes. A dead process holds no lock, nor does a host that has
    given no sign for _DEAD_AFTER. Raises UserError where the folder is another user's, or has no locks.
    """
    require_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _check_locks(folder)
    lock = FileLock(folder / LOCK)
    if not _acquired(lock, folder, timeout):
        yield False
        return
    beating = threading.Event()
    try:
        _beat_until(beating, folder, _write_note(folder))
        yield True
    finally:
        beating.set()
        lock.release()


def require_writable(folder: Path) -> None:
    """Raises UserError where this user may not write into a checkpoint folder, or into where it is to be made."""
    place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if os.access(place, os.W_OK | os.X_OK) or os.statvfs(place).f_flag & os.ST_RDONLY:  # writing will say the latter
        return
    try:
        owner = f"user {place.owner()}"
    except (KeyError, OSError):
        owner = "another user"
    raise UserError(
        f"{place} belongs to {owner}, and you may not write there: name a folder of your own in AUDIOCNN_CHECKPOINTS."
    )


def _acquired(lock: FileLock, folder: Path, timeout: float) -> bool:
    end = time.monotonic() + timeout
    while True:
        with suppress(Timeout):
            lock.acquire(timeout=_BEAT if timeout < 0 else min(_BEAT, max(end - time.monotonic(), 0)))
            return True
        if _took_over(lock, folder):
            return True
        if timeout >= 0 and end <= time.monotonic():
            return False


def _took_over(lock: FileLock, folder: Path) -> bool:
    """Takes the lock of a host that is gone: by a new file, since nobody can free the other one."""
    if not _is_gone(_holder(folder)):
        return False
    with suppress(Timeout), FileLock(folder / _TAKEOVER, timeout=0):
        if _is_gone(_holder(folder)):  # still: others may have been quicker
            (folder / LOCK).unlink(missing_ok=True)
            lock.acquire(timeout=0)
            _write_note(folder)
            return True
    return False


def _is_gone(holder: _Holder | None) -> bool:
    return holder is not None and holder.host != socket.gethostname() and holder.silent > _DEAD_AFTER


def _write_note(folder: Path) -> bytes:
    since = time.strftime("%Y-%m-%d %H:%M")
    note = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since, "beats": True}).encode()
    write_atomically(folder / LOCK_HOLDER, note)
    return note


def _beat_until(done: threading.Event, folder: Path, note: bytes) -> None:
    """Touches the note from a thread; where it is another's, this process was taken for dead and ends."""

    def beat() -> None:
        while not done.wait(_BEAT):
            with suppress(OSError):
                if (folder / LOCK_HOLDER).read_bytes() != note:
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                os.utime(folder / LOCK_HOLDER)

    threading.Thread(target=beat, daemon=True).start()


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
    holder = _holder(folder)
    if holder is None:
        return "another process"
    words = f"process {holder.pid} on {holder.host}"
    if holder.host == socket.gethostname():
        return words
    return f"{words} since {holder.since} (where that host is gone, remove {folder / LOCK})"


def _holder(folder: Path) -> _Holder | None:
    """What the note of a lock says; None where there is none of its form."""
    path = folder / LOCK_HOLDER
    try:
        note: Any = json.loads(path.read_bytes())
        touched = path.stat().st_mtime
        with tempfile.TemporaryFile(dir=folder) as now:  # not by this host's clock, which may differ
            silent = os.fstat(now.fileno()).st_mtime - touched
        since = str(note.get("since") or time.strftime("%Y-%m-%d %H:%M", time.localtime(touched)))
        return _Holder(int(note["pid"]), str(note["host"]), since, silent if note.get("beats") is True else 0.0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
