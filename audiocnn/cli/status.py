"""`audiocnn status`: where each fold is, from its checkpoint folder alone, while it trains and after."""

import argparse
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from audiocnn.cli.commands import Commands
from audiocnn.cli.plan_options import add_plan_options, plan_of
from audiocnn.config.all_clips import ALL_CLIPS

if TYPE_CHECKING:
    from audiocnn.folds.history import History
    from audiocnn.folds.plan import Plan

    _Network = tuple[Plan, int]  # a fold, or ALL_CLIPS, and the plan by which it trains

_POLL = 2.0  # seconds between two looks at the folds
_CURVE = 12  # characters
_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = "_.,-+*#@"  # where a terminal has no blocks


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("status", help="where each fold is, while it trains and after")
    parser.add_argument("--watch", action="store_true", help="follow, with one curve per fold, until all are finished")
    add_plan_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the table, or keeps it up to date. Raises UserError."""
    params, plan = plan_of(options)
    if options.watch:
        watch(plan, params.folds)
    else:
        print_status(plan, params.folds)


def print_status(plan: "Plan", folds: Sequence[int]) -> None:
    """Prints a table: each fold's state, epochs done, best accuracy so far and time left, at most.

    The network on all clips has a row where it was begun. Where another machine trained a fold, a column names it.
    """
    print("\n" + _table(_networks(plan, folds)))


def _networks(plan: "Plan", folds: Sequence[int]) -> "list[_Network]":
    """The folds, and the network on all clips where its training has begun, each with its plan."""
    from audiocnn.folds.all_clips import begun_plan

    own = begun_plan(plan, folds)
    return [*((plan, fold) for fold in folds), *([(own, ALL_CLIPS)] if own else [])]


def watch(plan: "Plan", folds: Sequence[int]) -> None:
    """Shows the table with curves anew whenever it changes, on a terminal in its own place, until all are finished."""
    from audiocnn.folds.history import fold_history

    histories: dict[int, History] = {}
    shown: list[str] = []
    while True:
        networks = _networks(plan, folds)
        histories = {fold: fold_history(its_plan, fold, histories.get(fold, {})) for its_plan, fold in networks}
        finished = [fold for its_plan, fold in networks if its_plan.results(fold) is not None]
        count = len(set(finished) - {ALL_CLIPS})
        lines = [f"{count} of {len(folds)} folds are finished", *_table(networks, histories).splitlines()]
        if lines != shown:
            _show(lines, len(shown))
            shown = lines
        if len(finished) == len(networks):
            return
        time.sleep(_POLL)


def _show(lines: Sequence[str], before: int) -> None:
    if sys.stdout.isatty():
        columns, rows = shutil.get_terminal_size()
        back = f"\x1b[{min(before, rows - 1)}A\x1b[J" if before else ""
        print(back + "\n".join(line[: columns - 1] for line in lines[: rows - 1]), flush=True)
    else:
        print("\n".join(lines), flush=True)


def _table(networks: "Sequence[_Network]", histories: "Mapping[int, History] | None" = None) -> str:
    from audiocnn.folds.machines import machine_of
    from audiocnn.folds.status import fold_status
    from audiocnn.text import aligned

    rows = [["all" if fold == ALL_CLIPS else str(fold), *fold_status(plan, fold)] for plan, fold in networks]
    header = ["fold", "state", "epochs", "best val_acc", "time left"]
    machines = [machine_of(plan.folder(fold)) for plan, fold in networks]
    if any(machines):
        header.append("machine")
        rows = [[*row, where["machine"] if where else "here"] for row, where in zip(rows, machines, strict=True)]
    table = aligned([header, *rows], left=2)
    if histories is None:
        return table
    accuracy, loss = (_curves([histories[fold] for _, fold in networks], name) for name in ("accuracy", "loss"))
    lines = table.splitlines()
    width = max(map(len, lines))
    beside = zip(lines, ["accuracy", *accuracy], ["loss", *loss], strict=True)
    return "\n".join(f"{line:{width}}  {left:{_CURVE}}  {right}".rstrip() for line, left, right in beside)


def _curves(histories: "Sequence[History]", name: str) -> list[str]:
    """A metric's curve of each fold, of the validation clips where there are any; one scale for all of them."""
    values = [history.get(f"val_{name}") or history.get(name) or () for history in histories]
    everything = [value for fold in values for value in fold]
    low, high = min(everything, default=0.0), max(everything, default=1.0)
    return [curve(fold, low, high, _blocks()) for fold in values]


def _blocks() -> str:
    try:
        _BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return _PLAIN
    return _BLOCKS


def curve(values: Sequence[float], low: float, high: float, blocks: str = _BLOCKS) -> str:
    """Values as a line of blocks, at most _CURVE of them, low at the bottom and high at the top."""
    count = min(len(values), _CURVE)
    picked = [values[round(place * (len(values) - 1) / max(count - 1, 1))] for place in range(count)]
    top = len(blocks) - 1
    return "".join(blocks[round((value - low) / (high - low) * top) if high > low else top] for value in picked)
