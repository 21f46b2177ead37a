"""The confusion matrix as text, from the files in metrics/ alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audiocnn.config.outs import METRICS
from audiocnn.evaluation.metrics import Labels, confusion_counts
from audiocnn.evaluation.read import damaged, read_metrics
from audiocnn.text import aligned, displayed

_MOST_PAIRS = 20  # of classes, where a matrix would not fit
_LONGEST = 20  # characters of a class name beside the matrix


def print_confusions(width: int, metrics: Path = METRICS) -> None:
    """Prints the held-out clips by actual and predicted class, within `width` columns of a terminal.

    Where the matrix is wider than that, the pairs of classes that were confused most often. Raises UserError.
    """
    classes, predictions = (read_metrics(metrics / name) for name in ("classes.csv", "predictions.csv"))
    try:
        names = [row["class"] for row in classes]
        labels = {name: label for label, name in enumerate(names)}
        actual, predicted = (np.array([labels[row[name]] for row in predictions]) for name in ("actual", "predicted"))
    except (KeyError, ValueError):
        raise damaged(metrics) from None
    counts = confusion_counts(actual, predicted, len(names))
    matrix = _matrix(counts, names)
    fits = max(map(len, matrix.splitlines())) <= width
    print(f"\n{matrix if fits else _pairs(counts, names)}")


def _matrix(counts: Labels, names: Sequence[str]) -> str:
    """A row a class that clips are of, a column a class that they were taken for, by its number; no 0 is shown."""
    numbers = [str(label) for label in range(len(names))]
    rows = [
        [_shortened(name), number, *(str(count) if count else "." for count in row)]
        for name, number, row in zip(names, numbers, counts.tolist(), strict=True)
    ]
    return "held-out clips; rows: actual class, columns: predicted class\n" + aligned([["", "", *numbers], *rows])


def _pairs(counts: Labels, names: Sequence[str]) -> str:
    """The confusions, most frequent first."""
    found = [(int(counts[row, column]), row, column) for row, column in np.argwhere(counts).tolist() if row != column]
    found.sort(key=lambda pair: (-pair[0], *pair[1:]))
    rows = [[_shortened(names[row]), _shortened(names[column]), str(count)] for count, row, column in found]
    shown = aligned([["actual class", "taken for", "clips"], *rows[:_MOST_PAIRS]], left=2)
    left = len(rows) - _MOST_PAIRS
    return f"{shown}\n{left} more pairs of classes: widen the terminal, or see the report" if left > 0 else shown


def _shortened(name: str) -> str:
    clean = displayed(name)
    return clean if len(clean) <= _LONGEST else f"{clean[: _LONGEST - 1]}…"
