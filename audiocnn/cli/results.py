"""`audiocnn results`: the table of results, and how it compares with git HEAD."""

import argparse
from pathlib import Path

from audiocnn.cli.commands import Commands


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("results", help="print the table of results and compare it with the committed one")
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path(),
        metavar="DIR",
        help="another clone, or what train --model-dir made (default: here)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the table, then the comparison with the committed results. Raises UserError where there are none."""
    from audiocnn.comparison.committed import comparison
    from audiocnn.config.outs import METRICS
    from audiocnn.evaluation.table import print_table
    from audiocnn.text import displayed

    print_table(options.folder / METRICS)
    print("", *map(displayed, comparison(options.folder).splitlines()), sep="\n")
