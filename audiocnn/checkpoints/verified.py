"""Checkpoint files that count by their sha256: a damaged one is noticed before it is read."""

import hashlib
from pathlib import Path

from audiocnn.files import write_atomically


class DamagedCheckpointError(Exception):
    """A checkpoint file that cannot be used. Its text says which file and what is wrong with it."""


def save_bytes(path: Path, content: bytes) -> str:
    """Writes a file atomically and returns its sha256."""
    write_atomically(path, content)
    return sha256(content)


def read_verified(path: Path, expected: str) -> bytes:
    """A file's bytes. Raises DamagedCheckpointError where it is missing, or its sha256 is not the expected one."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DamagedCheckpointError(f"{path} is missing") from None
    if sha256(content) != expected:
        raise DamagedCheckpointError(f"{path} is damaged ({len(content)} bytes, another sha256 than the one committed)")
    return content


def sha256(content: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(content).hexdigest()
