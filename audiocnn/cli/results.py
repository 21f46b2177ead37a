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
    parser.add_argument("--confusions", action="store_true", help="print the confusion matrix, too")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the table, then the comparison with the committed results. Raises UserError where there are none."""
    import shutil

    from audiocnn.comparison.committed import comparison
    from audiocnn.config.outs import METRICS
    from audiocnn.evaluation.confusions import print_confusions
    from audiocnn.evaluation.table import print_table
    from audiocnn.text import displayed

    print_table(options.folder / METRICS)
    if options.confusions:
        print_confusions(shutil.get_terminal_size().columns, options.folder / METRICS)
    print("", *map(displayed, comparison(options.folder).splitlines()), sep="\n")
