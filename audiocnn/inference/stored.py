"""Spectrograms in .npy files. Of a header three plain values are read, where numpy has Python parse all of it."""

import re
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiocnn.sound.decode import BadSoundError

Stored: TypeAlias = NDArray[np.floating[Any]]

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 4096  # bytes; numpy writes 118
_DESCR = re.compile(rb"'descr':\s*'([<>|=]?[A-Za-z]\d{0,3})'")
_ORDER = re.compile(rb"'fortran_order':\s*(True|False)")
_SHAPE = re.compile(rb"'shape':\s*\(([\d,\sL]{0,100})\)")  # Python 2 wrote 3L


def map_spectrograms(path: Path) -> Stored:
    """The array of a .npy file, mapped: (mels, frames) or (clips, mels, frames) of floats. Raises BadSoundError.

    Nothing is allocated for what a header claims and the file does not hold.
    """
    try:
        if not S_ISREG(path.stat().st_mode):
            raise BadSoundError("unreadable", "it is no regular file, expected one: a .npy file is mapped, not read")
        with path.open("rb") as file:
            header = _header(file)
            dtype, shape, order = _values(header)
            return np.memmap(file, dtype, "r", file.tell(), shape, order)
    except FileNotFoundError:
        raise BadSoundError("missing", "no such file") from None
    except OSError as error:
        raise BadSoundError("unreadable", error.strerror or str(error)) from None
    except (ValueError, OverflowError):  # what numpy says of a file that is shorter than its shape
        raise BadSoundError("unreadable", "it is shorter than its header claims") from None


def _header(file: IO[bytes]) -> bytes:
    start = file.read(len(_MAGIC) + 2)
    if start[: len(_MAGIC)] != _MAGIC:
        raise BadSoundError("unreadable", "it is no .npy file: save it with numpy.save")
    length = int.from_bytes(file.read(2 if start[-2:-1] == b"\x01" else 4), "little")
    if length > _LONGEST_HEADER:
        raise BadSoundError("unreadable", f"its header claims {length} bytes: save it again with numpy.save")
    return file.read(length)


def _values(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...], Any]:
    found = [pattern.search(header) for pattern in (_DESCR, _ORDER, _SHAPE)]
    descr, order, sizes = (None if match is None else match[1].decode() for match in found)
    if descr is None or order is None or sizes is None:
        raise BadSoundError("unreadable", "it holds no plain array of floats: save one with numpy.save")
    shape = tuple(int(size) for size in sizes.replace("L", "").replace(",", " ").split())
    try:
        dtype = np.dtype(descr)
    except TypeError:
        raise BadSoundError("unreadable", f"it is of type {descr!r}, expected floats") from None
    if dtype.kind != "f" or len(shape) not in (2, 3):
        detail = f"it is {dtype} {shape}, expected float (mels, frames) or (clips, mels, frames)"
        raise BadSoundError("unreadable", detail)
    return dtype, shape, "F" if order == "True" else "C"
