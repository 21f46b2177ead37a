"""`audiocnn status`: where each fold is, from its checkpoint folder alone, while it trains and after."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiocnn.cli.commands import Commands
from audiocnn.cli.plan_options import add_plan_options, plan_of

if TYPE_CHECKING:
    from audiocnn.folds.plan import Plan


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("status", help="where each fold is, while it trains and after")
    add_plan_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the table. Raises UserError."""
    params, plan = plan_of(options)
    print_status(plan, params.folds)


def print_status(plan: "Plan", folds: Sequence[int]) -> None:
    """Prints a table: each fold's state, epochs done, best accuracy so far and time left, at most.

    Where another machine trained a fold, a column names it.
    """
    from audiocnn.folds.machines import machine_of
    from audiocnn.folds.status import fold_status
    from audiocnn.text import aligned

    rows = [[str(fold), *fold_status(plan, fold)] for fold in folds]
    header = ["fold", "state", "epochs", "best val_acc", "time left"]
    machines = [machine_of(plan.folder(fold)) for fold in folds]
    if any(machines):
        header.append("machine")
        rows = [[*row, where["machine"] if where else "here"] for row, where in zip(rows, machines, strict=True)]
    print("\n" + aligned([header, *rows], left=2))
