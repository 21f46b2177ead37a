"""`audiocnn verify`: a published result made again, and compared byte for byte."""

import argparse
from pathlib import Path

from audiocnn.cli.commands import Commands


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("verify", help="train a published fold again: are its weights and result identical?")
    parser.add_argument("release", metavar="PLACE", help="hf://OWNER/NAME[@REVISION], or a folder that publish wrote")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--folds", type=int, nargs="+", default=[0], metavar="K", help="folds to train (default: 0)")
    which.add_argument("--all", action="store_true", help="train all folds of the release")
    parser.add_argument("--data", type=Path, metavar="DIR", help="your copy of the pickles, where they are not public")
    parser.add_argument("--work-dir", type=Path, metavar="DIR", help="(default: a folder of its own in verify/)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Says what made the release and what is here, trains, and ends with the verdict. Raises UserError."""
    from audiocnn.config.runtime import read_runtime
    from audiocnn.release.verify import (
        comparison,
        differences,
        exchanged,
        make_again,
        open_release,
        reasons,
        work_folder,
    )
    from audiocnn.text import aligned, displayed

    release = open_release(options.release)
    runtime = read_runtime()
    rows = comparison(release.origin, runtime)
    print(aligned([("what", "released", "here"), *rows], left=3) + "\n", flush=True)
    folds = list(release.origin.folds) if options.all else options.folds
    plan = make_again(release, folds, options.data, options.work_dir or work_folder(release), runtime)
    own = [line for fold in folds for line in exchanged(release, fold)]
    made_again = [line for fold in folds for line in differences(release, plan, fold)]
    if not own and not made_again:
        names = ", ".join(map(str, folds))
        print(f"\nidentical: weights and result of fold {names} are the released ones, byte for byte.")
        return 0
    lines = ["", "not identical:", *own, *made_again]
    if made_again:
        why = reasons(release, plan, rows) or [
            "none is known: code, versions, data and arithmetic are the released ones"
        ]
        lines += ["likeliest reasons, in order:", *(f"  {reason}" for reason in why)]
    else:
        lines.append("what was trained here is what it records, byte for byte")
    print("\n".join(map(displayed, lines)))
    return 1
