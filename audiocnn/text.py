"""Rows of text as a table, for a terminal or as Markdown. The first row is the header."""

import re
from collections.abc import Sequence

_JOINERS = "\u200c\u200d"  # invisible, but some scripts and emoji need them
_MARKUP = re.compile(r"[\\`*~<>\[\]|&]|(?<![^\W_])_|_(?![^\W_])")  # an underscore inside a word is not markup


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table for a terminal: the first `left` columns are aligned to the left, the others to the right."""
    from tabulate import tabulate  # here: every command imports this module, few print a table

    cells = [[displayed(cell) for cell in row] for row in rows]
    sides = ["left" if index < left else "right" for index in range(len(cells[0]))]
    table = tabulate(cells, tablefmt="plain", colalign=sides, disable_numparse=True)
    return "\n".join(line.rstrip() for line in table.splitlines())


def markdown(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table in Markdown, aligned as `aligned` does it. Each cell is shown as it is, as `literal` says."""
    header, *lines = ("| " + " | ".join(map(literal, row)) + " |" for row in rows)
    sides = "|---" * left + "|---:" * (len(rows[0]) - left) + "|"
    return "\n".join([header, sides, *lines])


def duration(seconds: float) -> str:
    """A time as people say it: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def displayed(text: str) -> str:
    """A line of text with U+FFFD in place of control characters and of those that reorder the text around them."""
    return "".join(character if character.isprintable() or character in _JOINERS else "\ufffd" for character in text)


def literal(text: str) -> str:
    """A line of text as Markdown that shows it as it is: no markup, no HTML, and on GitHub no mention or reference."""
    escaped = _MARKUP.sub(r"\\\g<0>", displayed(text))
    # GitHub looks for mentions and references after Markdown has removed the backslashes, so a comment parts them.
    return re.sub("[@#]", r"\g<0><!-- -->", escaped)
