"""Reading an untrusted pickle: data comes out, and nothing that the file says is run.

A pickle is a program for a small stack machine, and Python's own reader calls whatever that program names. This is
another reader, for the part of the language (protocols 2 to 5) that arrays, numbers, text and plain containers need;
the instructions are described in CPython's Lib/pickletools.py. It looks names up in one table of stand-ins (`_NAMES`)
and refuses the others. Not even numpy's reconstructors are called: `dtype.__setstate__` believes forged sizes and
flags. An array is a checked shape and a checked plain dtype over bytes of the file itself, never a copy.

Every length is checked against the bytes that are there before anything is allocated, and nothing recurses, so a small
file cannot ask for much memory, time or stack.
"""

import math
import pickle
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from audiocnn.errors import UserError

_MAX_INSTRUCTIONS = 3_000_000  # a list of 100,000 arrays needs up to 2.9 million; each may cost 200 bytes
_MAX_INTEGER_BYTES = 16
_SMALL = 64  # arguments up to this length may be used any number of times
_PLAIN_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|U[1-9][0-9]{0,5}")
_NOT_A_PICKLE_WE_KNOW = "is no pickle of protocol 2 to 5: save it again with pickle.dump(value, file, protocol=4)"
_NO_BYTES = memoryview(b"")
_DAMAGED = "is damaged: its instructions make no sense; fetch it or save it again"
# What nonsense raises on the way through: a missing memo entry, an empty stack, text that is no UTF-8, wrong types.
_NONSENSE = (LookupError, TypeError, ValueError, ArithmeticError, RecursionError)


class _RefusedError(Exception):
    """Why a file is not read; the rest of a sentence that starts with its name."""


def read_pickle(path: Path) -> Any:
    """The value in a pickle, with numpy arrays read-only, numpy scalars as Python's, and bytes as memoryviews.

    Arrays are views of the file's bytes, which are in memory once. They may be unaligned or big-endian. Only protocol
    2, which holds bytes as text, needs memory for copies.

    Raises UserError where the file is missing, truncated or damaged, or holds anything but arrays of plain numbers or
    text, numbers, text and plain containers; a name that it should not hold is in the message.
    """
    try:
        return _Reader(path.read_bytes()).value()
    except FileNotFoundError:
        raise UserError(f"{path} is not here: run 'dvc repro fetch' first.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the file and its permissions.") from None
    except MemoryError:
        raise UserError(f"{path} does not fit in this machine's memory: use a smaller dataset.") from None
    except _RefusedError as refusal:
        raise UserError(f"{path} {refusal}.") from None
    except _NONSENSE:
        raise UserError(f"{path} {_DAMAGED}.") from None


class _Reader:
    """The stack machine. Each mark opens a new stack, as in CPython, so that nothing is popped across a mark."""

    def __init__(self, content: bytes) -> None:
        self.content = memoryview(content)
        self.position = 0
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.reused = 0

    def value(self) -> Any:
        """Runs the instructions up to STOP."""
        if not self.content:
            raise _RefusedError("is empty (0 bytes): fetch it or save it again")
        if not re.match(rb"\x80[\2-\5]", self.content):
            raise _RefusedError(_NOT_A_PICKLE_WE_KNOW)
        for _ in range(_MAX_INSTRUCTIONS):
            instruction = bytes(self.take(1))
            if instruction == pickle.STOP:
                return self.end()
            if instruction not in _INSTRUCTIONS:
                raise _RefusedError(_unknown(instruction))
            _INSTRUCTIONS[instruction](self)
        raise _RefusedError("holds millions of single Python objects: save a numpy array instead of lists of numbers")

    def end(self) -> Any:
        value = self.stack.pop()
        if isinstance(value, _Name | _Unbuilt):
            raise _RefusedError(_DAMAGED)
        if self.stack or self.outer or self.position != len(self.content):
            raise _RefusedError("goes on after its value: save one value in the file")
        return value

    def take(self, size: int) -> memoryview:
        """The next bytes, as a view."""
        if size > len(self.content) - self.position:
            raise _RefusedError(
                f"ends too early, after {len(self.content)} bytes: it is truncated or damaged; fetch it again"
            )
        self.position += size
        return self.content[self.position - size : self.position]

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def text(self, size: int) -> str:
        return str(self.take(size), "utf-8", "surrogatepass")

    def line(self) -> str:
        """A text argument that ends with a newline, as in GLOBAL."""
        end = bytes(self.content[self.position : self.position + 1000]).find(b"\n")
        return self.text(end + 1)[:-1]

    def integer(self, size: int) -> int:
        if size > _MAX_INTEGER_BYTES:
            raise _RefusedError(f"holds a whole number of {size} bytes: expected ordinary numbers")
        return int.from_bytes(self.take(size), "little", signed=True)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def last(self, count: int) -> list[Any]:
        """Pops the last values, in the order in which they were pushed."""
        if count > len(self.stack):
            raise _RefusedError(_DAMAGED)
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def top(self, kind: type) -> Any:
        """The value that an instruction changes in place: one of ours or a plain container, of exactly this type."""
        if type(self.stack[-1]) is not kind:
            raise _RefusedError(_DAMAGED)
        return self.stack[-1]

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        value = self.memo[index]
        self.push(value.built if isinstance(value, _Unbuilt) and value.built is not None else value)

    def append(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        self.top(dict).update(zip(map(_key, items[::2]), items[1::2], strict=True))

    def add_items(self, items: list[Any]) -> None:
        self.top(set).update(map(_key, items))

    def name(self, module: Any, name: Any) -> None:
        """Pushes the stand-in for a name; the only place where a pickle's names are looked up."""
        if type(module) is not str or type(name) is not str:
            raise _RefusedError(_DAMAGED)
        if (module, name) not in _NAMES:
            shown = ascii(f"{module}.{name}"[:100])[1:-1]
            raise _RefusedError(
                f"names {shown}, which is refused, and nothing of the file was run: expected only numpy arrays, "
                "numbers, text, lists and dicts; save it again as such if you trust it"
            )
        self.push(_NAMES[module, name])

    def reduce(self) -> None:
        name, arguments = self.last(2)
        if type(name) is not _Name or type(arguments) is not tuple:
            raise _RefusedError(_DAMAGED)
        # An honest file uses a long text, list or buffer once. Using one from the memo again and again would let a
        # small file fill the memory with copies.
        self.reused += sum(len(a) for a in arguments if isinstance(a, str | list | memoryview) and len(a) > _SMALL)
        if self.reused > len(self.content):
            raise _RefusedError(_DAMAGED)
        self.push(name.stand_in(*arguments))

    def build(self) -> None:
        (state,) = self.last(1)
        unbuilt = self.top(_Unbuilt)
        if unbuilt.built is not None or type(state) is not tuple:
            raise _RefusedError(_DAMAGED)
        unbuilt.built = self.stack[-1] = unbuilt.build(*state)


class _Name:
    """What a name in a pickle stands for here."""

    def __init__(self, stand_in: Callable[..., Any]) -> None:
        self.stand_in = stand_in


class _Unbuilt:
    """An array or dtype between the two instructions that make it: REDUCE and BUILD, which brings the content."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self.build = build
        self.built: Any = None


def _key(key: Any) -> Any:
    """A dict's key or a set's member. Hashing a tuple recurses in C, without a limit."""
    if key is not None and type(key) not in {str, int, float, bool}:
        raise _RefusedError("holds a dict or set whose keys are neither numbers nor text: save it with such keys")
    return key


def _unknown(instruction: bytes) -> str:
    names = {value: name for name, value in vars(pickle).items() if name.isupper() and isinstance(value, bytes)}
    name = names.get(instruction)
    if name is None:
        return _DAMAGED
    return (
        f"uses the pickle instruction {name}, which is refused: arrays, numbers, text, lists and dicts need none such"
    )


def _dtype(plain: str, align: int, copy: int) -> _Unbuilt:
    """numpy.dtype("f4", False, True), followed by the state that holds the byte order."""
    if type(plain) is str and plain.startswith("O"):
        raise _RefusedError("holds an array of Python objects (dtype object): save an array of numbers")
    if not _PLAIN_DTYPE.fullmatch(plain):
        raise _RefusedError(f"holds an array of dtype {plain[:20]!a}: expected plain numbers or text")
    dtype = np.dtype(plain)
    layout = (4 * int(plain[1:]), 4, 8) if plain[0] == "U" else (-1, -1, 0)

    def build(version: int, order: Any, *rest: Any) -> Any:
        if version != 3 or order not in ("<", ">", "|") or rest != (None, None, None, *layout):
            raise _RefusedError(
                "holds a forged dtype: its sizes or flags are not those of plain numbers; it is refused"
            )
        return dtype.newbyteorder(order)

    return _Unbuilt(build)


def _array(buffer: Any, dtype: Any, shape: Any, order: str, axes: Any = None) -> Any:
    """numpy's _frombuffer: the bytes as an array. Order K is C order over transposed axes (numpy 2.3 and later)."""
    if not isinstance(buffer, memoryview) or not isinstance(dtype, np.dtype) or type(shape) is not tuple:
        raise _RefusedError(_DAMAGED)
    if any(type(size) is not int or size < 0 for size in shape) or order not in ("C", "F", "K"):
        raise _RefusedError(_DAMAGED)
    if math.prod(shape) * dtype.itemsize != len(buffer):
        raise _RefusedError(f"holds {len(buffer)} bytes for an array of another size: it is damaged; fetch it again")
    if dtype.kind == "U" and (np.frombuffer(buffer, f"{dtype.byteorder}u4") > sys.maxunicode).any():
        raise _RefusedError(_DAMAGED)  # numpy ends in a SystemError where such text is read
    array: Any = np.ndarray(shape, dtype, buffer, order="F" if order == "F" else "C")
    return array.transpose(axes) if order == "K" and axes is not None else array


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Unbuilt:
    """numpy's _reconstruct(ndarray, (0,), b"b"), followed by the state that holds everything."""
    if kind is not _NDARRAY:
        raise _RefusedError(_DAMAGED)

    def build(version: int, shape: Any, dtype: Any, fortran: bool, buffer: Any) -> Any:
        return _array(buffer, dtype, shape, "F" if fortran else "C")

    return _Unbuilt(build)


def _scalar(dtype: Any, buffer: Any) -> Any:
    return _array(buffer, dtype, (), "C").item()


def _encode(text: str, encoding: str) -> memoryview:
    """_codecs.encode: how protocol 2 writes bytes."""
    if type(text) is not str or encoding != "latin1":
        raise _RefusedError("encodes text in another way than pickle's protocol 2 does: it is refused")
    return memoryview(text.encode("latin1"))


def _bytes(content: Any = _NO_BYTES) -> memoryview:
    """bytes() and bytearray(content): empty bytes in protocol 2, bytearrays before protocol 5."""
    if not isinstance(content, memoryview):
        raise _RefusedError(_DAMAGED)
    return content


def _set(items: list[Any]) -> set[Any]:
    if type(items) is not list:
        raise _RefusedError(_DAMAGED)
    return set(map(_key, items))


def _not_callable(*_: Any) -> Any:
    raise _RefusedError(_DAMAGED)


_NDARRAY = _Name(_not_callable)
_NAMES = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Name(_dtype),
    ("_codecs", "encode"): _Name(_encode),
    ("collections", "OrderedDict"): _Name(lambda: {}),
    # numpy 1.x, then 2.x
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Name(_reconstruct) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Name(_scalar) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Name(_array) for core in ("core", "_core")},
    # protocol 2 writes Python 2's name of the module
    **{(module, name): _Name(_set) for module in ("builtins", "__builtin__") for name in ("set", "frozenset")},
    **{(module, name): _Name(_bytes) for module in ("builtins", "__builtin__") for name in ("bytes", "bytearray")},
}

_INSTRUCTIONS: dict[bytes, Callable[[_Reader], Any]] = {
    pickle.PROTO: lambda r: r.take(1),
    pickle.FRAME: lambda r: r.take(8),  # a frame only helps a reader that reads from a slow file
    pickle.NONE: lambda r: r.push(None),
    pickle.NEWTRUE: lambda r: r.push(True),
    pickle.NEWFALSE: lambda r: r.push(False),
    pickle.BININT: lambda r: r.push(r.number("<i")),
    pickle.BININT1: lambda r: r.push(r.number("<B")),
    pickle.BININT2: lambda r: r.push(r.number("<H")),
    pickle.LONG1: lambda r: r.push(r.integer(r.number("<B"))),
    pickle.BINFLOAT: lambda r: r.push(r.number(">d")),
    pickle.SHORT_BINUNICODE: lambda r: r.push(r.text(r.number("<B"))),
    pickle.BINUNICODE: lambda r: r.push(r.text(r.number("<I"))),
    pickle.BINUNICODE8: lambda r: r.push(r.text(r.number("<Q"))),
    pickle.SHORT_BINBYTES: lambda r: r.push(r.take(r.number("<B"))),
    pickle.BINBYTES: lambda r: r.push(r.take(r.number("<I"))),
    pickle.BINBYTES8: lambda r: r.push(r.take(r.number("<Q"))),
    pickle.BYTEARRAY8: lambda r: r.push(r.take(r.number("<Q"))),
    pickle.EMPTY_LIST: lambda r: r.push([]),
    pickle.EMPTY_TUPLE: lambda r: r.push(()),
    pickle.EMPTY_DICT: lambda r: r.push({}),
    pickle.EMPTY_SET: lambda r: r.push(set()),
    pickle.MARK: lambda r: r.mark(),
    pickle.POP: lambda r: r.pop(),
    pickle.POP_MARK: lambda r: r.since_mark(),
    pickle.TUPLE: lambda r: r.push(tuple(r.since_mark())),
    pickle.TUPLE1: lambda r: r.push(tuple(r.last(1))),
    pickle.TUPLE2: lambda r: r.push(tuple(r.last(2))),
    pickle.TUPLE3: lambda r: r.push(tuple(r.last(3))),
    pickle.FROZENSET: lambda r: r.push(frozenset(map(_key, r.since_mark()))),
    pickle.APPEND: lambda r: r.append(r.last(1)),
    pickle.APPENDS: lambda r: r.append(r.since_mark()),
    pickle.SETITEM: lambda r: r.set_items(r.last(2)),
    pickle.SETITEMS: lambda r: r.set_items(r.since_mark()),
    pickle.ADDITEMS: lambda r: r.add_items(r.since_mark()),
    pickle.BINPUT: lambda r: r.remember(r.number("<B")),
    pickle.LONG_BINPUT: lambda r: r.remember(r.number("<I")),
    pickle.MEMOIZE: lambda r: r.remember(len(r.memo)),
    pickle.BINGET: lambda r: r.recall(r.number("<B")),
    pickle.LONG_BINGET: lambda r: r.recall(r.number("<I")),
    pickle.GLOBAL: lambda r: r.name(r.line(), r.line()),
    pickle.STACK_GLOBAL: lambda r: r.name(*r.last(2)),
    pickle.REDUCE: lambda r: r.reduce(),
    pickle.BUILD: lambda r: r.build(),
}
