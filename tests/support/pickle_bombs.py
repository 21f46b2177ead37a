"""Pickles of a few megabytes that ask a reader for much time or memory, a kind of asking each."""

import struct
from collections.abc import Callable, Iterable

_INTEGER = b"\x8a\x0c"  # LONG1 of 12 bytes
_MERSENNE = 2**61 - 1  # whole numbers that differ by it hash alike
_SET, _ARRAY = b"cbuiltins\nset\n", b"cnumpy._core.numeric\n_frombuffer\n"
_UNBUILT = b"cnumpy._core.multiarray\n_reconstruct\n"
_ENCODE = b"c_codecs\nencode\n"
_DTYPE = b"cnumpy\ndtype\n\x8c\x02%s\x89\x88\x87R(K\x03\x8c\x01<NNN%st" + b"b"
_FLOAT = _DTYPE % (b"f4", b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00")
_TEXT = _DTYPE % (b"U1", b"K\x04K\x04K\x08")
_EMPTY = b"cnumpy\nndarray\nK\0\x85C\1b\x87"  # (ndarray, (0,), b"b")
_LETTER = b"(C\4a\0\0\0" + _TEXT + b")\x8c\1Ct"
_LETTERS = b"\x8c\x40" + b"a" * 64 + b"\x8c\6latin1\x86"


def _alike(count: int) -> Iterable[bytes]:
    return (_INTEGER + (number * _MERSENNE).to_bytes(12, "little") for number in range(1, count))


def _huge(count: int) -> bytes:
    return (b"\x8a\x10" + b"\xff" * 15 + b"\x7f") * count


def _kept(index: int, value: bytes) -> bytes:
    """A value in the memo and no longer on the stack."""
    return value + b"q" + bytes([index]) + b"0"


def _numbers(count: int) -> bytes:
    """A list in a tuple, as REDUCE takes it."""
    return b"](" + b"".join(b"K" + bytes([number]) for number in range(count)) + b"e\x85"


def _one_buffer(times: int) -> bytes:
    """An array of text of 3 MB, built again and again from the same bytes."""
    letters = 750_000
    buffer = b"B" + struct.pack("<I", 4 * letters) + b"a\0\0\0" * letters
    state = b"(K\1J" + struct.pack("<i", letters) + b"\x85" + _TEXT + b"\x89h\2t"
    kept = _kept(0, _UNBUILT) + _kept(1, _EMPTY) + _kept(2, buffer) + _kept(3, state)
    return kept + b"](" + b"h\0h\1Rh\3b" * times + b"e."


def _called(name: bytes, arguments: bytes) -> bytes:
    """A list of what a stand-in gives, when it is called again and again with the same arguments."""
    return _kept(0, name) + _kept(1, arguments) + b"](" + b"h\0h\1R" * 900_000 + b"e."


_BODIES: dict[str, Callable[[], bytes]] = {
    "a shape of huge numbers": lambda: _ARRAY + b"(C\0" + _FLOAT + b"(" + _huge(4400) + b"t\x8c\1CtR.",
    "keys that hash alike": lambda: b"}(" + b"".join(number + b"N" for number in _alike(150_000)) + b"u.",
    "members that hash alike": lambda: b"\x8f(" + b"".join(_alike(150_000)) + b"\x90.",
    "one buffer built a thousand times": lambda: _one_buffer(1000),
    "sets of one list": lambda: _called(_SET, _numbers(64)),
    "arrays that are never built": lambda: _called(_UNBUILT, _EMPTY),
    "arrays of one character": lambda: _called(_ARRAY, _LETTER),
    "text that becomes bytes": lambda: _called(_ENCODE, _LETTERS),
    "empty sets": lambda: b"](" + b"\x8f" * 2_900_000 + b"e.",
    "empty dicts": lambda: b"](" + b"}" * 2_900_000 + b"e.",
    "sets of one number": lambda: b"](" + b"(K\1\x91" * 700_000 + b"e.",
    "marks": lambda: b"(" * 2_900_000 + b".",
    "empty bytes": lambda: b"](" + b"C\0" * 2_900_000 + b"e.",
    "a memo of one value": lambda: b"N" + b"".join(b"r" + struct.pack("<I", i) for i in range(2_800_000)) + b".",
}
PICKLE_BOMBS = tuple(_BODIES)


def pickle_bomb(name: str) -> bytes:
    """The content of one of PICKLE_BOMBS."""
    return b"\x80\x04" + _BODIES[name]()
