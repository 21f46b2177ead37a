"""`audiocnn compare REV [REV]`: two runs fold by fold, from the files that git keeps; or several runs a side."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from audiocnn.cli.commands import Commands
from audiocnn.errors import UserError

if TYPE_CHECKING:
    from audiocnn.comparison.revisions import RevisionResults

_WORKSPACE = [None]  # the working tree
_Side = list[str | None]


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("compare", help="two runs fold by fold: is one better, or is that the folds' spread?")
    parser.add_argument("first", nargs="?", metavar="REV", help="git revision or DVC experiment")
    parser.add_argument("second", nargs="?", metavar="REV", help="what to compare with it (default: the working tree)")
    parser.add_argument("--old", metavar="A,B,...", help="several runs as one side, in place of the first REV")
    parser.add_argument("--new", metavar="C,D,...", help="several runs as the other side, in place of the second REV")
    parser.add_argument("--md", action="store_true", help="as Markdown, for a pull request")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(options: argparse.Namespace) -> None:
    """Prints the comparison of two sides. Raises UserError."""
    from audiocnn.comparison.clips import clip_by_clip
    from audiocnn.comparison.verdict import verdict
    from audiocnn.text import aligned, displayed, literal, markdown

    old, new = _sides(options)
    found = verdict(_together("old", old), _together("new", new), clip_by_clip(Path(), old, new))
    notes = [*_side_notes(old, new), *found.notes]
    if options.md:
        items = "\n".join(f"- {literal(note)}" for note in notes)
        table = f"<details><summary>Fold by fold</summary>\n\n{markdown(found.table)}\n\n</details>"
        print(f"**{literal(found.reading)}** {literal(found.numbers)}\n\n{items}\n\n{table}")
    else:
        reading, numbers, *notes = map(displayed, (found.reading, found.numbers, *notes))
        print("\n".join([reading, numbers, "", aligned(found.table), "", *notes]))


def _sides(options: argparse.Namespace) -> tuple[_Side, _Side]:
    """The revisions of the two sides, from the words without a name and from --old and --new."""
    words = [word for word in (options.first, options.second) if word is not None]
    listed = [value for value in (options.old, options.new) if value is not None]
    if len(words) + len(listed) > 2 or (options.old is None and not words):
        options.usage_error("give one or two revisions, or --old A,B,... and --new C,D,...")
    old = _split(options.old) if options.old is not None else [words.pop(0)]
    new = _split(options.new) if options.new is not None else (words or _WORKSPACE)
    return list(old), list(new)


def _split(value: str) -> list[str]:
    names = [name.strip() for name in value.split(",")]
    if "" in names:
        raise UserError(f"{value!r} lists an empty name: give revisions with a comma between them, such as A,B,C.")
    if len(set(names)) < len(names):
        raise UserError(f"{value!r} lists a run twice: give each once.")
    return names


def _together(name: str, side: _Side) -> "RevisionResults":
    from audiocnn.comparison.revisions import read_revision
    from audiocnn.comparison.sides import together

    return together(name, [read_revision(Path(), revision) for revision in side])


def _side_notes(old: _Side, new: _Side) -> list[str]:
    """Which runs a side of several is."""
    sides = {"old": old, "new": new}
    return [
        f"{name} is the mean of {len(side)} runs in each fold: {', '.join(map(str, side))}."
        for name, side in sides.items()
        if len(side) > 1
    ]
