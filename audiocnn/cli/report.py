"""`audiocnn report`: the HTML page on the results."""

import argparse
from pathlib import Path

from audiocnn.cli.commands import Commands
from audiocnn.text import displayed


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("report", help="write report/index.html: curves, confusions, mistakes, in one file")
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(), metavar="DIR", help="another clone (default: here)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Writes the report and says where it is. Raises UserError."""
    from audiocnn.report.page import write_report

    path = write_report(options.folder)
    print(displayed(f"{path}: {path.stat().st_size / 1e3:,.0f} kB, to be opened in a browser"))
