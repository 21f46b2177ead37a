"""What must stay together in one fold: clips of one speaker, of one source recording, of one folder."""

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from audiocnn.errors import UserError
from audiocnn.text import displayed

GroupOf = Callable[[str, Sequence[str]], str]
"""A clip's group, from its file and its cells in the table: the empty text where it is in none."""


def grouping(group_by: str | None, columns: Sequence[str]) -> GroupOf:
    """The groups that --group-by names: a column, `folder` (the one that holds the file), or a regular expression.

    The expression is searched in the file's name without its folders. Its first parentheses, or else all that it
    matches, is the group. columns: of the table, none where there is no table. Raises UserError; so does what comes
    out, where a file name is not matched.
    """
    if group_by is None:
        return lambda file, cells: ""
    if group_by in columns:
        index = list(columns).index(group_by)
        return lambda file, cells: cells[index]
    if group_by == "folder":
        return lambda file, cells: PurePosixPath(file).parent.name
    pattern = compiled(group_by, "--group-by")
    hint = f", and no column is called so ({displayed(', '.join(columns))})" if columns else ""
    return lambda file, cells: matched(pattern, file, "--group-by", hint)


def compiled(expression: str, option: str) -> re.Pattern[str]:
    """A regular expression that a user gave. Raises UserError."""
    try:
        return re.compile(expression)
    except re.error as error:
        raise UserError(f"{option} is {expression!r}, which is no regular expression: {error}.") from None


def matched(pattern: re.Pattern[str], file: str, option: str, hint: str = "") -> str:
    """What a pattern's first parentheses, or else all of it, matches in a file's name without folders."""
    name = PurePosixPath(file).name
    match = pattern.search(name)
    found = match and (match[1] if pattern.groups else match[0])
    if not found:
        raise UserError(
            f"{option} {pattern.pattern!r} does not match the file name {name!r}{hint}: expected a regular expression "
            "that each file name matches."
        )
    return found
