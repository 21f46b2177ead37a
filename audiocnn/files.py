"""Files that are whole or not there: atomic writes, canonical JSON, digests."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20  # bytes read at a time; large enough that sha256, not the loop, sets the pace


def sha256_of_file(path: Path) -> str:
    """The sha256 of a file's bytes, as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that, whatever happens, either the old content or the whole new one is there.

    The content goes to a temporary name in the same folder, is flushed and fsynced, and renamed; then the folder
    is fsynced, so that the new name survives a power cut as far as the disk honours fsync. The temporary name is
    fixed: what a kill leaves behind is overwritten by the next try. Callers that share a file take a lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
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
    """Makes renames inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical_json(value: Any) -> str:
    """JSON that is the same text for the same value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def json_text(value: Any) -> str:
    """JSON for people and for git: sorted keys, indented, a final newline."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Writes a value as json_text, atomically."""
    write_atomically(path, json_text(value).encode())
