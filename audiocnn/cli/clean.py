"""`audiocnn clean`: the checkpoints that nothing resumes from any more, listed, and removed where one asks for it."""

import argparse

from audiocnn.cli.commands import Commands
from audiocnn.cli.plan_options import add_plan_options, plan_of


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("clean", help="list checkpoints of other params, code or data, and remove them")
    parser.add_argument("--remove", action="store_true", help="delete what is listed (default: only list it)")
    add_plan_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Lists the folders with their sizes, and removes them where that is asked for. Raises UserError."""
    from audiocnn.folds.leftovers import leftovers, remove, size
    from audiocnn.text import displayed

    params, plan = plan_of(options)
    total = 0
    for folder in leftovers(plan, params.folds):
        taken = size(folder)
        if options.remove and not remove(folder):
            continue
        total += taken
        print(f"{taken / 1e6:>10.1f} MB  {displayed(str(folder))}")
    what = "removed" if options.remove else "of checkpoints that nothing resumes from; --remove deletes them"
    print(f"{total / 1e6:>10.1f} MB  {what}")
