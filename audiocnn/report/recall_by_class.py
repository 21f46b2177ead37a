"""Recall by class as a figure: a dot for each fold, a line for the mean. Needs the extra `audiocnn[report]`."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from audiocnn.evaluation.metrics import Floats
from audiocnn.report.class_labels import POINTS, label_inches, shortened
from audiocnn.report.numbers import CrossValidation
from audiocnn.report.render import BLUE, ORANGE, svg

_WIDTH = 6.2  # inches
_DOT = 3.8  # points


def recall_dots(crossval: CrossValidation) -> str:
    """Recall by class as an <svg> element: a dot for each fold, a line for the mean; the best class on top."""
    names = crossval.class_names
    row, points = (0.36, 10.0) if len(names) <= 25 else (0.2, 8.0)  # a row's height in inches, the font's size
    left, height = label_inches(names, points) + 0.15, max(len(names), 3) * row + 0.75
    box = (left / _WIDTH, 0.6 / height, 1 - (left + 0.2) / _WIDTH, 1 - 0.7 / height)
    description = "Recall by class, each fold and the mean, as in the table below"
    size = (_WIDTH, height)
    return svg("recall", description, size, lambda figure: _draw(figure.add_axes(box), crossval, row, points))


def _draw(axes: Axes, crossval: CrossValidation, row: float, points: float) -> None:
    """row: its height in inches. points: the size of the class names."""
    recalls = crossval.recalls
    means = np.array([float(class_row["recall_mean"] or "nan") for class_row in crossval.class_rows])
    order = np.argsort(-np.nan_to_num(means, nan=-1), kind="stable")  # classes without clips come last
    dots: dict[str, Any] = {"color": BLUE, "alpha": 0.65, "markersize": _DOT, "markeredgewidth": 0}
    line: dict[str, Any] = {"color": ORANGE, "linewidth": 2.6, "solid_capstyle": "butt"}
    for place, label in enumerate(order):
        values = np.sort(recalls[:, label][~np.isnan(recalls[:, label])])
        axes.plot(values, place + _offsets(values, (_DOT + 0.4) / (row * POINTS)), "o", **dots)
        axes.plot([means[label]] * 2, [place - 0.42, place + 0.42], **line)
    axes.set_yticks(range(len(order)), labels=[shortened(crossval.class_names[i]) for i in order], fontsize=points)
    _style_axes(axes, len(order))


def _style_axes(axes: Axes, classes: int) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(max(classes, 3) - 0.5, -0.6))
    axes.set_xlabel("recall")
    axes.grid(axis="both", color="#E9E9E9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _offsets(values: Floats, dot: float) -> Floats:
    """Vertical offsets, in rows, that keep equal values apart, up and down from the row's middle.

    dot: the distance between two dots, in rows; smaller where a row does not have room for it.
    """
    offsets = np.zeros(len(values))
    for value in np.unique(values):
        same = values == value
        count = int(same.sum())
        step = min(dot, 0.8 / count)
        offsets[same] = step * (np.arange(count) - (count - 1) / 2)
    return offsets
