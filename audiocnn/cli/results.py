"""`audiocnn results`: the table of results, and how it compares with git HEAD."""

import argparse

from audiocnn.cli.commands import Commands


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("results", help="print the table of results and compare it with the committed one")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the table, then the comparison with the committed results. Raises UserError where there are none."""
    from pathlib import Path

    from audiocnn.comparison.committed import comparison
    from audiocnn.evaluation.table import print_table
    from audiocnn.text import displayed

    print_table()
    print("", *map(displayed, comparison(Path()).splitlines()), sep="\n")
