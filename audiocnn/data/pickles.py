"""Reading an untrusted pickle: data comes out, and nothing that the file says is run.

A pickle is a program for a small stack machine, and Python's own reader calls whatever that program names. This is
another reader, for the part of the language (protocols 2 to 5) that arrays, numbers, text and plain containers need;
the instructions are described in CPython's Lib/pickletools.py. Names are looked up in one table, STAND_INS in
audiocnn/data/pickle_stand_ins.py, and others refused. Arrays are views of the file's bytes.

Every length is checked against the bytes that are there before anything is allocated, nothing recurses, and what each
instruction allocates is counted. So no file asks for more stack than any other, for more memory than 10 times its size
and 100 MB, or for more time than some seconds and what its size explains.
"""

import pickle
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audiocnn.data.foreign_files import by_content, by_name, python_2
from audiocnn.data.pickle_stand_ins import DAMAGED, STAND_INS, Name, RefusedError, Unbuilt, plain_key
from audiocnn.errors import UserError

_MAX_INSTRUCTIONS = 3_000_000  # a list of 100,000 arrays needs up to 2.9 million
_MEMORY, _MEMORY_PER_BYTE = 90_000_000, 9  # bytes that values may take, beside the file itself
_IN_A_LIST, _IN_A_MEMO, _IN_A_DICT = 16, 80, 130  # bytes for an entry, while a growing one is copied
_MARK, _CONTENT = 72, 300  # bytes for a stack; for what getsizeof does not see, such as the bytes under a view
_MAX_INTEGER_BYTES = 16
_SMALL = 64  # arguments up to this length may be used any number of times
_TOO_MUCH = "holds millions of single Python objects: save a numpy array instead of lists of numbers"
_NOT_A_PICKLE_WE_KNOW = "is not a pickle of protocol 2 to 5: save it again with pickle.dump(value, file, protocol=4)"
# What nonsense raises on the way through: a missing memo entry, an empty stack, text that is not UTF-8, wrong types.
_NONSENSE = (LookupError, TypeError, ValueError, ArithmeticError, RecursionError)


def read_pickle(path: Path) -> Any:
    """The value in a pickle, with numpy arrays read-only, numpy scalars as Python's, and bytes as memoryviews.

    Arrays are views of the file's bytes, which are in memory once. They may be unaligned or big-endian. Only protocol
    2, which holds bytes as text, needs memory for copies.

    Raises UserError where the file is missing, truncated or damaged, or holds anything but arrays of plain numbers or
    text, numbers, text and plain containers; a name that it should not hold is in the message.
    """
    try:
        return _Reader(path).value()
    except FileNotFoundError:
        raise UserError(f"{path} is not here: run 'dvc repro fetch' first.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the file and its permissions.") from None
    except MemoryError:
        raise UserError(f"{path} does not fit in this machine's memory: use a smaller dataset.") from None
    except RefusedError as refusal:
        raise UserError(f"{path} {refusal}.") from None
    except _NONSENSE:
        raise UserError(f"{path} {DAMAGED}.") from None


class _Reader:
    """The stack machine. Each mark opens a new stack, as in CPython, so that nothing is popped across a mark.

    reused: the bytes and items of what REDUCE and BUILD were given, which bounds how often a file can have one buffer
    copied or looked through. memory: the bytes that values may still take.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = memoryview(path.read_bytes())
        self.position = 0
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.reused = 0
        self.memory = _MEMORY + _MEMORY_PER_BYTE * len(self.content)

    def value(self) -> Any:
        """Runs the instructions up to STOP."""
        if not self.content:
            raise RefusedError("is empty (0 bytes): fetch it or save it again")
        if not re.match(rb"\x80[\2-\5]", self.content):
            raise RefusedError(by_content(self.path, self.content) or _NOT_A_PICKLE_WE_KNOW)
        for _ in range(_MAX_INSTRUCTIONS):
            instruction = bytes(self.take(1))
            if instruction == pickle.STOP:
                return self.end()
            if instruction not in _INSTRUCTIONS:
                raise RefusedError(_unknown(self.path, instruction))
            _INSTRUCTIONS[instruction](self)
        raise RefusedError(_TOO_MUCH)

    def end(self) -> Any:
        value = self.stack.pop()
        if isinstance(value, Name | Unbuilt):
            raise RefusedError(DAMAGED)
        if self.stack or self.outer or self.position != len(self.content):
            raise RefusedError("holds more after its value: save one value in the file")
        return value

    def take(self, size: int) -> memoryview:
        """The next bytes, as a view."""
        if size > len(self.content) - self.position:
            raise RefusedError(
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
            raise RefusedError(f"holds a whole number of {size} bytes: expected ordinary numbers")
        return int.from_bytes(self.take(size), "little", signed=True)

    def push(self, value: Any) -> None:
        """Pushes a new value, and counts what it takes."""
        self.charge(sys.getsizeof(value))
        self.stack.append(value)

    def charge(self, size: int) -> None:
        self.memory -= size
        if self.memory < 0:
            raise RefusedError(_TOO_MUCH)

    def mark(self) -> None:
        self.charge(_MARK)
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
            raise RefusedError(DAMAGED)
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def top(self, kind: type) -> Any:
        """The value that an instruction changes in place: one of ours or a plain container, of exactly this type."""
        if type(self.stack[-1]) is not kind:
            raise RefusedError(DAMAGED)
        return self.stack[-1]

    def remember(self, index: int) -> None:
        self.charge(_IN_A_MEMO)
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        value = self.memo[index]
        self.stack.append(value.built if isinstance(value, Unbuilt) and value.built is not None else value)

    def append(self, items: list[Any]) -> None:
        self.charge(_IN_A_LIST * len(items))
        self.top(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        self.charge(_IN_A_DICT * len(items) // 2)
        self.top(dict).update(zip(map(plain_key, items[::2]), items[1::2], strict=True))

    def add_items(self, items: list[Any]) -> None:
        self.charge(_IN_A_DICT * len(items))
        self.top(set).update(map(plain_key, items))

    def name(self, module: Any, name: Any) -> None:
        """Pushes the stand-in for a name; the only place where a pickle's names are looked up."""
        if type(module) is not str or type(name) is not str:
            raise RefusedError(DAMAGED)
        if (module, name) not in STAND_INS:
            if advice := by_name(self.path, module):
                raise RefusedError(advice)
            shown = ascii(f"{module}.{name}"[:100])[1:-1]
            raise RefusedError(
                f"names {shown}, which is refused, and nothing of the file was run: expected only numpy arrays, "
                "numbers, text, lists and dicts; save it again as such if you trust it"
            )
        self.push(STAND_INS[module, name])

    def reduce(self) -> None:
        name, arguments = self.last(2)
        if type(name) is not Name or type(arguments) is not tuple:
            raise RefusedError(DAMAGED)
        self.use(arguments)
        value = name.stand_in(*arguments)
        self.charge(_CONTENT if isinstance(value, Unbuilt | memoryview) else 0)
        self.push(value)

    def use(self, values: tuple[Any, ...]) -> None:
        """Counts the long ones of what is about to be copied or looked through.

        An honest file uses each once, and in protocol 2 bytes twice, as text and as bytes. Using one from the memo
        again and again would let a small file fill the memory with copies, or take hours.
        """
        self.reused += sum(len(v) for v in values if isinstance(v, str | list | tuple | memoryview) and len(v) > _SMALL)
        if self.reused > 2 * len(self.content):
            raise RefusedError(DAMAGED)

    def build(self) -> None:
        (state,) = self.last(1)
        unbuilt = self.top(Unbuilt)
        if unbuilt.built is not None or type(state) is not tuple:
            raise RefusedError(DAMAGED)
        self.use(state)
        unbuilt.built = self.stack[-1] = unbuilt.build(*state)


def _unknown(path: Path, instruction: bytes) -> str:
    if instruction in (pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING):
        return python_2(path)
    names = {value: name for name, value in vars(pickle).items() if name.isupper() and isinstance(value, bytes)}
    name = names.get(instruction)
    if name is None:
        return DAMAGED
    return (
        f"uses the pickle instruction {name}, which is refused: arrays, numbers, text, lists and dicts do not need it"
    )


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
    pickle.FROZENSET: lambda r: r.push(frozenset(map(plain_key, r.since_mark()))),
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
