"""`audiocnn compare REV [REV]`: two runs fold by fold, from the files that git keeps."""

import argparse
from pathlib import Path

from audiocnn.cli.commands import Commands


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("compare", help="two runs fold by fold: is one better, or is that the folds' spread?")
    parser.add_argument("old", metavar="REV", help="git revision or DVC experiment")
    parser.add_argument("new", nargs="?", metavar="REV", help="what to compare with it (default: the working tree)")
    parser.add_argument("--md", action="store_true", help="as Markdown, for a pull request")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the comparison of two runs. Raises UserError."""
    from audiocnn.comparison.revisions import read_revision
    from audiocnn.comparison.verdict import verdict
    from audiocnn.text import aligned, displayed, literal, markdown

    found = verdict(read_revision(Path(), options.old), read_revision(Path(), options.new))
    if options.md:
        items = "\n".join(f"- {literal(note)}" for note in found.notes)
        table = f"<details><summary>Fold by fold</summary>\n\n{markdown(found.table)}\n\n</details>"
        print(f"**{literal(found.reading)}** {literal(found.numbers)}\n\n{items}\n\n{table}")
    else:
        reading, numbers, *notes = map(displayed, (found.reading, found.numbers, *found.notes))
        print("\n".join([reading, numbers, "", aligned(found.table), "", *notes]))
