"""What the names in a pickle stand for: checked replacements for numpy's reconstructors and a few plain types.

Nothing that a pickle names is called, not even numpy's own: `dtype.__setstate__` believes forged sizes and flags. A
dtype is one of a fixed list; an array is a checked shape over bytes of the file itself, never a copy.
"""

import math
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

DAMAGED = "is damaged: its instructions make no sense; fetch it or save it again"
_PLAIN_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|U[1-9][0-9]{0,5}")
_MOST_AXES = 32  # numpy's own limit, or half of it
_DISTINCT = 2**60  # below it, whole numbers hash to themselves: a dict of others can be made to take hours
_NO_BYTES = memoryview(b"")


class RefusedError(Exception):
    """Why a file is not read; the rest of a sentence that starts with its name."""


class Name:
    """What a name in a pickle stands for here."""

    def __init__(self, stand_in: Callable[..., Any]) -> None:
        self.stand_in = stand_in


class Unbuilt:
    """An array or dtype between the two instructions that make it: REDUCE and BUILD, which brings the content."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self.build = build
        self.built: Any = None


def plain_key(key: Any) -> Any:
    """A dict's key or a set's member. Hashing a tuple recurses in C, without a limit."""
    if key is not None and type(key) not in {str, int, float, bool}:
        raise RefusedError("holds a dict or set whose keys are neither numbers nor text: save it with such keys")
    if type(key) is int and not -_DISTINCT < key < _DISTINCT:
        raise RefusedError("holds a dict or set with a key of 18 digits or more: save it with smaller ones")
    return key


def _dtype(plain: str, align: int, copy: int) -> Unbuilt:
    """numpy.dtype("f4", False, True), followed by the state that holds the byte order."""
    if type(plain) is str and plain.startswith("O"):
        raise RefusedError("holds an array of Python objects (dtype object): save an array of numbers")
    if not _PLAIN_DTYPE.fullmatch(plain):
        raise RefusedError(f"holds an array of dtype {plain[:20]!a}: expected plain numbers or text")
    dtype = np.dtype(plain)
    layout = (4 * int(plain[1:]), 4, 8) if plain[0] == "U" else (-1, -1, 0)

    def build(version: int, order: Any, *rest: Any) -> Any:
        if version != 3 or order not in ("<", ">", "|") or rest != (None, None, None, *layout):
            raise RefusedError("holds a forged dtype: its sizes or flags are not those of plain numbers; it is refused")
        return dtype.newbyteorder(order)

    return Unbuilt(build)


def _array(buffer: Any, dtype: Any, shape: Any, order: str, axes: Any = None) -> Any:
    """numpy's _frombuffer: the bytes as an array. Order K is C order over transposed axes (numpy 2.3 and later)."""
    if not isinstance(buffer, memoryview) or not isinstance(dtype, np.dtype) or type(shape) is not tuple:
        raise RefusedError(DAMAGED)
    if (
        len(shape) > _MOST_AXES
        or any(type(size) is not int or size < 0 for size in shape)
        or order not in ("C", "F", "K")
    ):
        raise RefusedError(DAMAGED)
    if math.prod(shape) * dtype.itemsize != len(buffer):
        raise RefusedError(f"holds {len(buffer)} bytes for an array of another size: it is damaged; fetch it again")
    if dtype.kind == "U":  # numpy ends in a SystemError where text of impossible characters is read
        str(buffer, "utf-32-le" if dtype.isnative == (sys.byteorder == "little") else "utf-32-be", "surrogatepass")
    array: Any = np.ndarray(shape, dtype, buffer, order="F" if order == "F" else "C")
    return array.transpose(axes) if order == "K" and axes is not None else array


def _reconstruct(kind: Any, shape: Any, code: Any) -> Unbuilt:
    """numpy's _reconstruct(ndarray, (0,), b"b"), followed by the state that holds everything."""
    if kind is not _NDARRAY:
        raise RefusedError(DAMAGED)

    def build(version: int, shape: Any, dtype: Any, fortran: bool, buffer: Any) -> Any:
        return _array(buffer, dtype, shape, "F" if fortran else "C")

    return Unbuilt(build)


def _scalar(dtype: Any, buffer: Any) -> Any:
    return _array(buffer, dtype, (), "C").item()


def _encode(text: str, encoding: str) -> memoryview:
    """_codecs.encode: how protocol 2 writes bytes."""
    if type(text) is not str or encoding != "latin1":
        raise RefusedError("encodes text in another way than pickle's protocol 2 does: it is refused")
    return memoryview(text.encode("latin1"))


def _bytes(content: Any = _NO_BYTES) -> memoryview:
    """bytes() and bytearray(content): empty bytes in protocol 2, bytearrays before protocol 5."""
    if not isinstance(content, memoryview):
        raise RefusedError(DAMAGED)
    return content


def _set(items: list[Any]) -> set[Any]:
    if type(items) is not list:
        raise RefusedError(DAMAGED)
    return set(map(plain_key, items))


def _counter(counts: Any = None) -> dict[Any, Any]:
    """collections.Counter(dict)."""
    if counts is not None and type(counts) is not dict:
        raise RefusedError(DAMAGED)
    return counts or {}


def _default_dict(factory: Any = None) -> dict[Any, Any]:
    """collections.defaultdict(list), whose items follow. The factory is not used: nothing is missing from it."""
    if factory is not None and not isinstance(factory, Name):
        raise RefusedError(DAMAGED)
    return {}


def _not_callable(*_: Any) -> Any:
    raise RefusedError(DAMAGED)


_NDARRAY = Name(_not_callable)
_BUILTINS = ("builtins", "__builtin__")  # protocol 2 writes Python 2's name of the module
STAND_INS = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): Name(_dtype),
    ("_codecs", "encode"): Name(_encode),
    ("collections", "OrderedDict"): Name(lambda: {}),
    ("collections", "Counter"): Name(_counter),
    ("collections", "defaultdict"): Name(_default_dict),
    **{(module, name): Name(_not_callable) for module in _BUILTINS for name in ("dict", "float", "int", "list", "str")},
    # numpy 1.x, then 2.x
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Name(_reconstruct) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): Name(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): Name(_array) for core in ("core", "_core")},
    **{(module, name): Name(_set) for module in _BUILTINS for name in ("set", "frozenset")},
    **{(module, name): Name(_bytes) for module in _BUILTINS for name in ("bytes", "bytearray")},
}
"""By module and name; a pickle that names anything else is refused."""
