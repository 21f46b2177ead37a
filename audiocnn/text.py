"""Rows of text as a table, for a terminal or as Markdown. The first row is the header."""

import re
from collections.abc import Sequence

from tabulate import tabulate

_JOINERS = "\u200c\u200d"  # invisible, but some scripts and emoji need them
_MARKUP = re.compile(r"[\\`*~<>\[\]|&]|(?<![^\W_])_|_(?![^\W_])")  # an underscore inside a word is not markup


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Each column as wide as its widest cell: the first `left` ones to the left, all others to the right."""
    cells = [[displayed(cell) for cell in row] for row in rows]
    sides = ["left" if index < left else "right" for index in range(len(cells[0]))]
    table = tabulate(cells, tablefmt="plain", colalign=sides, disable_numparse=True)
    return "\n".join(line.rstrip() for line in table.splitlines())


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its numbers to the right."""
    lines = ["| " + " | ".join(map(literal, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + "|---:" * (len(rows[0]) - 1) + "|", *lines[1:]])


def displayed(text: str) -> str:
    """A line of text without what cannot be seen: control characters, and those that turn the text around them."""
    return "".join(char if char.isprintable() or char in _JOINERS else "\ufffd" for char in text)


def literal(text: str) -> str:
    """A line of text as Markdown that shows it as it is: no markup, no HTML, and on GitHub no mention or reference."""
    escaped = _MARKUP.sub(r"\\\g<0>", displayed(text))
    return re.sub(
        "[@#]", r"\g<0><!-- -->", escaped
    )  # GitHub looks for these after Markdown, where no backslash is left
