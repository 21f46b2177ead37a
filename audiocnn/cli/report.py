"""`audiocnn report`: the HTML page on the results."""

import argparse
from pathlib import Path

from audiocnn.cli.commands import Commands
from audiocnn.errors import UserError
from audiocnn.text import displayed


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("report", help="write report/index.html: curves, confusions, mistakes, in one file")
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(), metavar="DIR", help="another clone (default: here)"
    )
    parser.add_argument(
        "--recordings",
        type=Path,
        metavar="DIR",
        help="folder with the recordings (default: the one that audiocnn features noted)",
    )
    parser.add_argument(
        "--watch", action="store_true", help="follow the folds while they train, until the report is there"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Writes the report and says where it is. Raises UserError."""
    from audiocnn.report.page import require_libraries, write_report

    require_libraries()
    if options.recordings is not None and not options.recordings.is_dir():
        raise UserError(f"--recordings is {options.recordings}, which is no folder: name the one with the sound files.")
    if options.watch and options.folder != Path():
        raise UserError("--watch follows the folds of this folder: leave out DIR, or run it there.")
    path = _watch(options.recordings) if options.watch else write_report(options.folder, options.recordings)
    print(displayed(f"{path}: {path.stat().st_size / 1e3:,.0f} kB, to be opened in a browser"))


def _watch(recordings: Path | None) -> Path:
    """Follows the run that params.yaml describes; returns the report's path."""
    from audiocnn.config.outs import PREPARED
    from audiocnn.config.params import read_params
    from audiocnn.config.runtime import read_runtime
    from audiocnn.folds.plan import make_plan
    from audiocnn.report.live import watch_report
    from audiocnn.report.page import REPORT

    params = read_params()
    plan = make_plan(params, read_runtime(), PREPARED)
    print(
        f"{REPORT}: open it in a browser, it follows the folds; Ctrl-C ends the watching, not the training", flush=True
    )
    return watch_report(plan, params.folds, recordings=recordings)
