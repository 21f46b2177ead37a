"""Other files out of good ones: bytes changed anywhere, or, where a file is JSON, values of another kind."""

import json
from collections.abc import Callable
from typing import Any

from numpy.random import Generator

_LONGEST = 1 << 16  # bytes that a mutated file may be longer than the good one
_ODD: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: 0,
    lambda: -1,
    lambda: 10**4000,
    lambda: 2**63,
    lambda: 1e308,
    lambda: float("nan"),
    lambda: float("-inf"),
    lambda: "",
    lambda: "\x1b[2J<b>\u202e",
    lambda: "x" * 5000,
    lambda: [],
    lambda: {},
    lambda: [[0.5]],
    lambda: {"a": [1]},
    lambda: _nested(900),
)


def mutated(content: bytes, random: Generator) -> bytes:
    """One mutation of a file's content, by its bytes or, half of the time, as JSON where it is that."""
    if content[:1] == b"{" and random.random() < 0.5:
        try:
            return _other_values(json.loads(content), random)
        except (ValueError, RecursionError):
            pass
    return _other_bytes(content, random)


def _other_bytes(content: bytes, random: Generator) -> bytes:
    """A few changes, most of them near the start, where headers are."""
    data, longest = bytearray(content), len(content) + _LONGEST
    for _ in range(int(random.integers(1, 9))):
        if not data:
            break
        place = int(len(data) * random.random() ** random.integers(1, 5))
        size = int(random.integers(1, 9))
        change = int(random.integers(5))
        if change == 0:
            data[place] ^= 1 << int(random.integers(8))
        elif change == 1:
            data[place : place + size] = random.choice([b"\0", b"\xff", b"\x7f", b"\x80"]) * size
        elif change == 2:
            data[place : place + size] = random.bytes(size)
        elif change == 3:
            other = int(random.integers(len(data)))
            data[place:place] = data[other : other + int(random.integers(1, 400))]
        else:
            del data[place : place + (size if random.random() < 0.9 else len(data))]
    return bytes(data[:longest])


def _other_values(value: Any, random: Generator) -> bytes:
    """JSON in which one to three values are of another kind, missing or doubled."""
    for _ in range(int(random.integers(1, 4))):
        places = list(_places(value))
        if not places:
            break
        holder, key = places[int(random.integers(len(places)))]
        change = int(random.integers(4))
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, list):
            holder.insert(key, holder[key])
        else:
            holder[key] = _ODD[int(random.integers(len(_ODD)))]()
    return json.dumps(value).encode()


def _places(value: Any) -> Any:
    """Every value's holder and its key in there."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value
