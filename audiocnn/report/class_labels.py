"""Class names as labels in a figure: short enough, and the room that they need."""

import unicodedata
from collections.abc import Sequence

from audiocnn.text import displayed

POINTS = 72  # in an inch
_LONGEST = 14  # ems of a class name that a figure has room for
_WIDE, _NARROW = 1.0, 0.57  # ems: an East Asian character, and the average of all others


def shortened(name: str) -> str:
    """A class name that fits: a long one loses its middle, because its end often tells it from the next one."""
    clean = displayed(name)
    if _ems(clean) <= _LONGEST:
        return clean
    room = int(_LONGEST * len(clean) / _ems(clean)) - 1  # characters beside the ellipsis
    tail = room // 3
    return f"{clean[: room - tail]}…{clean[-tail:]}"


def label_inches(names: Sequence[str], points: float) -> float:
    """The width, in inches, of the longest shortened name at a font size in points.

    Estimated from the number of characters: which font the reader has is not known here.
    """
    return max(_ems(shortened(name)) for name in names) * points / POINTS


def _ems(text: str) -> float:
    return sum(_WIDE if unicodedata.east_asian_width(character) in "WF" else _NARROW for character in text)
