"""The confusion matrix as a figure: colour is the share of the actual class, numbers are clips.

Needs the extra `audiocnn[report]`.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from audiocnn.evaluation.metrics import Labels
from audiocnn.report.class_labels import shortened
from audiocnn.report.render import INK, png, svg

_CELLS = ((4, 0.6, 11.0), (12, 0.45, 10.0), (25, 0.3, 8.5), (math.inf, 0.185, 7.0))  # classes, inches, points
_LINE = "#E3E3E3"
_SCALE, _BAR = 0.4, 0.15  # inches right of the matrix: for the scale of colours, and of these for its bar


def confusion_svg(counts: Labels, names: Sequence[str]) -> str:
    """An <svg> element. counts: (classes, classes) int64, clips by actual and predicted class. names: by label."""
    description = f"Confusion matrix of {len(names)} classes; the most frequent confusions are in the table below"
    return svg("confusion", description, _size(len(names)), partial(_draw, counts, names), grow=True)


def confusion_png(counts: Labels, names: Sequence[str]) -> bytes:
    """The same figure as PNG. counts, names: as for confusion_svg."""
    return png(_size(len(names)), partial(_draw, counts, names), grow=True)


def _cell(classes: int) -> tuple[float, float]:
    """A cell's side in inches and the font's size in points: the more classes, the smaller."""
    return next((inches, points) for most, inches, points in _CELLS if classes <= most)


def _size(classes: int) -> tuple[float, float]:
    """Width and height, in inches, of the cells and the scale of colours, without labels: the figure grows by them."""
    side = classes * _cell(classes)[0]
    return side + _SCALE, side


def _draw(counts: Labels, names: Sequence[str], figure: Figure) -> None:
    width, side = _size(len(names))
    _, points = _cell(len(names))
    matrix = figure.add_axes((0, 0, side / width, 1))
    _draw_cells(matrix, counts, points)
    _label_classes(matrix, names, points)
    matrix.set_xlabel("predicted class", weight="bold", labelpad=8)
    matrix.set_ylabel("actual class", weight="bold", labelpad=8)
    _draw_scale(figure.add_axes((1 - _BAR / width, 0, _BAR / width, min(side - 0.4, 2) / side)))


def _draw_cells(axes: Axes, counts: Labels, points: float) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells = np.argwhere(counts)
    squares = PatchCollection([Rectangle((x - 0.5, y - 0.5), 1, 1) for y, x in cells], cmap="Blues", linewidth=0)
    squares.set_array(shares[tuple(cells.T)])
    squares.set_clim(0, 1)
    axes.add_collection(squares)
    for row, column in cells:
        number = str(counts[row, column])
        style: dict[str, Any] = {
            "ha": "center",
            "va": "center_baseline",
            "color": "white" if shares[row, column] > 0.5 else INK,
            "fontsize": points * _shrunk(len(number)),
        }
        axes.text(column, row, number, **style)


def _shrunk(digits: int) -> float:
    """The factor by which a number with many digits is smaller, so that it stays in its cell."""
    if digits < 3:
        return 1
    return 0.85 if digits == 3 else 0.65


def _label_classes(axes: Axes, names: Sequence[str], points: float) -> None:
    """The class names along both axes, and lines between the cells."""
    places, labels = range(len(names)), [shortened(name) for name in names]
    turned: dict[str, Any] = {"rotation": 90, "rotation_mode": "anchor"}  # ends at its cell whatever the reader's font
    axes.set_xticks(places, labels=labels, fontsize=points, ha="right", va="center", **turned)
    axes.set_yticks(places, labels=labels, fontsize=points)
    edges = np.arange(len(names) + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color=_LINE, linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axes.spines[:].set_visible(False)


def _draw_scale(axes: Axes) -> None:
    """What the colours mean."""
    axes.imshow(np.linspace(0, 1, 64)[:, None], cmap="Blues", origin="lower", extent=(0, 1, 0, 1), aspect="auto")
    axes.set_xticks([])
    axes.set_yticks([0, 0.5, 1], labels=["0", "0.5", "1"], fontsize=8)
    axes.yaxis.tick_right()
    axes.tick_params(length=2)
    axes.spines[:].set_visible(False)
    axes.set_title("share of the\nactual class", fontsize=8, loc="left", pad=9)
