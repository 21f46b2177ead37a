"""`audiocnn verify`: a published result made again, and compared byte for byte."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiocnn.cli.commands import Commands

if TYPE_CHECKING:
    from audiocnn.folds.plan import Plan
    from audiocnn.release.place import Release
    from audiocnn.release.verify import Row


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("verify", help="train a published fold again: are its weights and result identical?")
    parser.add_argument("release", metavar="PLACE", help="hf://OWNER/NAME[@REVISION], or a folder that publish wrote")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--folds", type=int, nargs="+", default=[0], metavar="K", help="folds to train (default: 0)")
    which.add_argument("--all", action="store_true", help="train all folds of the release")
    parser.add_argument("--data", type=Path, metavar="DIR", help="your copy of the pickles, where they are not public")
    parser.add_argument(
        "--work-dir", type=Path, metavar="DIR", help="where to train (default: a folder of this release in verify/)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Says what made the release and what is here, trains, and ends with the verdict. Raises UserError."""
    from audiocnn.config.runtime import read_runtime
    from audiocnn.release.place import open_release
    from audiocnn.release.verdict import contradictions
    from audiocnn.release.verify import comparison, make_again, wanted_folds, work_folder
    from audiocnn.text import aligned

    release = open_release(options.release)
    runtime = read_runtime()
    folds = wanted_folds(release, None if options.all else options.folds)
    compared = comparison(release.origin, folds, options.data, runtime)
    cells = [(row.what, row.released, row.here) for row in compared]
    print(aligned([("what", "released", "here"), *cells], left=3) + "\n", flush=True)
    own = contradictions(release, folds)
    _say([*(f"code differs: {row.differs}" for row in compared if row.what == "code" and row.differs), *own])
    plan = make_again(release, folds, options.data, options.work_dir or work_folder(release), runtime)
    return _verdict(release, plan, folds, compared, own)


def _verdict(
    release: "Release", plan: "Plan", folds: Sequence[int], compared: "Sequence[Row]", own: Sequence[str]
) -> int:
    """Says whether the folds are identical, or what differs and why; 0 or 1. own: contradictions of the release."""
    from audiocnn.release.verdict import differences, misreported, reasons, results_of

    results = results_of(plan, folds)
    changed = differences(release, results)
    own = [*own, *([] if changed else misreported(release, results))]
    names = f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"
    if changed:
        _say(["", "not identical:", *changed, *own])
        _say(["likeliest reasons, in order:", *(f"  {reason}" for reason in reasons(release, plan, compared))])
    elif own:
        _say(["", f"weights and result of {names} are those that origin.json records, byte for byte, but:", *own])
    else:
        _say(["", f"identical: weights and result of {names} are the released ones, byte for byte."])
    return 1 if changed or own else 0


def _say(lines: Sequence[str]) -> None:
    from audiocnn.text import displayed

    for line in lines:
        print(displayed(line), flush=True)
