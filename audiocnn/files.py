"""Files and folders that are whole or not there: atomic writes, canonical JSON, digests."""

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

# What CIFS, VirtualBox's and WSL's shares answer to a folder that is opened or flushed.
_NOT_OFFERED = {errno.EACCES, errno.EBADF, errno.EINVAL, errno.EISDIR, errno.ENOSYS, errno.ENOTSUP, errno.EPERM}


def sha256_of_file(path: Path) -> str:
    """The sha256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: object) -> str:
    """The sha256 of a JSON value's canonical text, as 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def md5(content: bytes) -> str:
    """The digest by which DVC knows a file, 32 hex digits. It tells files apart; nothing trusts it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that, whatever happens, either the old content or the whole new one is there.

    The content goes to a temporary name in the same folder, is flushed and fsynced, and renamed; then the folder
    is fsynced, so that the new name survives a power cut as far as the disk honours fsync. The temporary name is
    fixed: what a kill leaves behind is removed by the next try, and so is a link that somebody put there, which is
    never followed. Callers that share a file take a lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        error.filename = str(path)  # ENOSPC from write() names no file
        raise
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Makes what was renamed inside a folder durable, as far as the file system does that: shares often refuse."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
    finally:
        os.close(descriptor)


def replace_folder(new: Path, path: Path, old: Path) -> None:
    """Puts the folder `new` in the place of `path`: whatever happens, one of them is there whole.

    The files of `new` and both renames are made durable. What stood at `path` goes to `old`, which the caller removes:
    after a kill between the two renames, restore_folder brings it back. All three are on one file system.
    """
    for file in filter(Path.is_file, new.iterdir()):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    fsync_folder(new)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(old)
    new.rename(path)
    fsync_folder(path.parent)


def restore_folder(path: Path, old: Path) -> None:
    """Finishes a replace_folder that was killed: the old folder comes back where there is no new one, or is removed."""
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def canonical_json(value: Any) -> str:
    """JSON that is the same text for the same value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def json_text(value: Any) -> str:
    """JSON for people and for git: sorted keys, indented, a final newline."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Writes a value as json_text, atomically."""
    write_atomically(path, json_text(value).encode())
