"""`audiocnn experiments`: all experiments in one table, a setting's seeds as one row, and how sure the order is."""

import argparse
import csv
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocnn.cli.commands import Commands

if TYPE_CHECKING:
    from audiocnn.comparison.experiments import Experiment
    from audiocnn.comparison.sweep import Row, Sweep

_WIDTH = 80
_LONGEST = 20  # characters of a param's value in the table
_LEVEL = 0.05


def add_parser(commands: Commands) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("experiments", help="all experiments, best first: is the best one better, or lucky?")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="as Markdown")
    form.add_argument("--csv", action="store_true", help="as CSV, with full names and unrounded numbers")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the table. Raises UserError."""
    from audiocnn.comparison.experiments import read_experiments
    from audiocnn.comparison.sweep import sweep

    experiments, notes = read_experiments(Path())
    found = sweep(experiments)
    if options.csv:
        _print_csv(found)
    elif not experiments:
        print("\n".join(["No experiments yet: 'dvc exp run -S train.lr=3e-4' makes one.", *notes]))
    else:
        _print_table(found, [*_readings(found), *_failures(experiments), *notes], as_markdown=options.md)


def _print_table(found: "Sweep", notes: Sequence[str], *, as_markdown: bool) -> None:
    """The table, then the notes. For a terminal it has 80 columns at most: params that do not fit stand below it."""
    from audiocnn.text import aligned, displayed, literal, markdown

    params, numbers = _param_columns(found), _number_columns(found.rows)
    joined = _side_by_side(params, numbers)
    if as_markdown:
        print("\n".join([markdown(joined, left=0), "", *(f"- {literal(note)}" for note in notes)]))
        return
    table = aligned(joined, left=0)
    if max(map(len, table.splitlines())) > _WIDTH:
        letters = [["setting"], *([str(index)] for index in range(1, len(numbers)))]
        legend = [
            textwrap.fill(displayed(f"{index}: {_words(params[0], row)}"), _WIDTH, subsequent_indent="   ")
            for index, row in enumerate(params[1:], start=1)
        ]
        table = "\n".join([aligned(_side_by_side(letters, numbers), left=0), "", *legend])
    print("\n".join([table, "", *(textwrap.fill(displayed(note), _WIDTH) for note in notes)]))


def _side_by_side(left: list[list[str]], right: list[list[str]]) -> list[list[str]]:
    return [[*one, *other] for one, other in zip(left, right, strict=True)]


def _words(names: Sequence[str], values: Sequence[str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))


def _param_columns(found: "Sweep") -> list[list[str]]:
    """Names and values of what differs between the settings: params, then code and data, by the start of a digest."""
    settings = [row.setting for row in found.rows]
    known_data = {setting.data for setting in settings if setting.data}
    places = [
        name
        for name, differs in (("code", len({s.code for s in settings}) > 1), ("data", len(known_data) > 1))
        if differs
    ]
    values = [
        [*(_shown(setting.params.get(name)) for name in found.changed), *(getattr(setting, place) for place in places)]
        for setting in settings
    ]
    return [[*_short(found.changed), *places], *values]


def _short(names: Sequence[str]) -> list[str]:
    """Dotted names without their group, where that leaves them different."""
    last = [name.rpartition(".")[2] for name in names]
    return [short if last.count(short) == 1 else name for name, short in zip(names, last, strict=True)]


def _shown(value: Any) -> str:
    text = "-" if value is None else " ".join(str(value).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _number_columns(rows: Sequence["Row"]) -> list[list[str]]:
    """What is measured, and how many runs are in which state; states without any run have no column."""
    states = [state for state in ("running", "queued", "failed") if any(row.setting.states[state] for row in rows)]
    header = [_metric(rows), "seeds", "std seeds", "std folds", "p", *states]
    return [
        header,
        *(
            [
                *map(_number, (row.mean,)),
                str(len(row.setting.runs)),
                *map(_number, (row.over_seeds, row.over_folds, row.p)),
                *(str(row.setting.states[state]) for state in states),
            ]
            for row in rows
        ),
    ]


def _metric(rows: Sequence["Row"]) -> str:
    metrics = {row.metric for row in rows if row.metric}
    return metrics.pop() if len(metrics) == 1 else "accuracy"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _readings(found: "Sweep") -> list[str]:
    """How sure the order is, in words that claim no more than the numbers show, and how that was found."""
    from audiocnn.comparison.verdict import protocol_note

    measured = [row for row in found.rows if row.mean is not None]
    compared = [row.p for row in measured[1:] if row.p is not None]
    if not measured:
        return ["No experiment is finished yet."]
    notes = {row.metric: protocol_note(row.metric) for row in measured}
    if not compared:
        return ["There is no second setting that the first could be compared with fold by fold.", *notes.values()]
    method = (
        "p: of the first row against this one; differences paired by fold and seed, in each fold their mean over "
        "seeds; t-test with the variance of Nadeau and Bengio (2003); Holm's correction for all "
        f"{found.pairs} pairs of rows."
    )
    left_out = len(measured) - 1 - len(compared)
    return [_reading(compared, left_out), *_left_out(left_out), method, *notes.values()]


def _reading(compared: Sequence[float], left_out: int) -> str:
    """What the p of the first row against others show. left_out: how many others have none."""
    sure = sum(p < _LEVEL for p in compared)
    if not sure:
        return f"The folds and seeds do not tell which is best: no p of the first against another is below {_LEVEL}."
    if sure == len(compared):
        return f"The first is better than each {'other that has a p' if left_out else 'of the others'} (p < {_LEVEL})."
    others = "others that have a p" if left_out else "others"
    return f"The first is better than {sure} of {len(compared)} {others} (p < {_LEVEL}); the rest is not told apart."


def _left_out(count: int) -> list[str]:
    if not count:
        return []
    rows = "1 finished row has" if count == 1 else f"{count} finished rows have"
    why = "other data, classes or train.validation, or too few folds"
    return [f"{rows} no p, not comparable with the first: {why}."]


def _failures(experiments: Sequence["Experiment"]) -> list[str]:
    failed = [experiment.name for experiment in experiments if experiment.state == "failed"]
    return [f"Failed: {', '.join(failed)}. 'dvc queue logs NAME' says why."] if failed else []


def _print_csv(found: "Sweep") -> None:
    """A row a setting, with all names of runs; cells that a spreadsheet would run are made text."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    states = ["running", "queued", "failed"]
    names = ["code", "data", "metric", "mean", "seeds", "std_seeds", "std_folds", "p", *states, "runs"]
    writer.writerow(map(_cell, [*found.changed, *names]))
    for row in found.rows:
        setting = row.setting
        params = [setting.params.get(name) for name in found.changed]
        numbers = [row.metric, row.mean, len(setting.runs), row.over_seeds, row.over_folds, row.p]
        runs = " ".join(run.name for run in setting.runs.values())
        counts = [setting.states[state] for state in states]
        writer.writerow(map(_cell, [*params, setting.code, setting.data, *numbers, *counts, runs]))


def _cell(value: Any) -> str:
    """A value as text that no spreadsheet takes for a formula."""
    from audiocnn.text import displayed

    if value is None or isinstance(value, int | float):
        return "" if value is None else str(value)
    text = displayed(str(value))
    return f"'{text}" if unicodedata.normalize("NFKC", text).lstrip()[:1] in {*"=+-@"} else text
