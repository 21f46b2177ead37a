"""The report's figures: learning curves, confusion matrix, recall by class.

Needs the extra `audiocnn[report]`.
"""

import math
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from audiocnn.evaluation.rows import CURVES
from audiocnn.report.numbers import Run
from audiocnn.report.svg import GREY, svg
from audiocnn.text import displayed

# Okabe and Ito, "Color Universal Design", 2008: told apart by colour-blind readers
BLUE, ORANGE = "#0072B2", "#D55E00"
_POINTS = 72  # in an inch
_LABEL = 14  # ems of a class name that a figure has room for
_CELLS = ((4, 0.6, 11.0), (12, 0.45, 10.0), (25, 0.3, 8.5), (math.inf, 0.185, 7.0))  # classes, inches, points
_CUT = 2.5  # a loss this many times as high as guessing's is cut off


def accuracy_curves(run: Run, validation: str) -> str:
    """Accuracy by epoch: every fold thin, the mean thick, best epochs as dots. validation: what val_acc is of."""
    return svg("accuracy", f"Accuracy by epoch, training and {validation}", (4.7, 3.2), _curves(run, "acc", validation))


def loss_curves(run: Run, validation: str) -> str:
    """Cross-entropy by epoch, as accuracy_curves."""
    return svg("loss", f"Loss by epoch, training and {validation}", (4.7, 3.2), _curves(run, "loss", validation))


def loss_is_cut(run: Run) -> bool:
    """Whether loss_curves leaves out values that are too high."""
    return bool(max(fold.curves[:, 2:].max() for fold in run.folds) > _highest_loss(run))


def confusion_matrix(run: Run) -> str:
    """All folds' clips by actual and predicted class: colour is the share of the actual class, numbers are clips."""
    classes = len(run.names)
    cell, points = next((cell, points) for most, cell, points in _CELLS if classes <= most)
    side, label = classes * cell, label_inches(run.names, points) + 0.45
    width, height = label + side + 0.95, label + side + 0.1

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((label / width, label / height, side / width, side / height))
        _draw_matrix(axes, run, points)
        bar = figure.add_axes(
            ((label + side + 0.25) / width, label / height, 0.15 / width, min(side - 0.4, 2) / height)
        )
        _draw_share_bar(bar)

    return svg(
        "confusion",
        f"Confusion matrix of {classes} classes; the most frequent confusions are in the table below",
        (width, height),
        draw,
    )


def recall_dots(run: Run) -> str:
    """Recall by class: a dot a fold, a line for the mean; the best class on top."""
    classes = len(run.names)
    row, points = (0.36, 10.0) if classes <= 25 else (0.2, 8.0)
    left, width, height = label_inches(run.names, points) + 0.15, 6.2, max(classes, 3) * row + 0.75
    box = (left / width, 0.6 / height, 1 - (left + 0.2) / width, 1 - 0.7 / height)
    words = "Recall by class, each fold and the mean, as in the table below"
    return svg("recall", words, (width, height), lambda figure: _draw_recalls(figure.add_axes(box), run, row, points))


def label_inches(names: Sequence[str], points: float) -> float:
    """The room that class names need. Estimated from characters: which font the reader has is not known here."""
    return max(_ems(_short(name)) for name in names) * points / _POINTS


def _curves(run: Run, kind: str, validation: str) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.115, 0.15, 0.865, 0.75))
        series = (("train", BLUE, "training"), ("val", ORANGE, validation))
        several = ", mean" if len(run.folds) > 1 else ""
        for prefix, colour, words in series:
            column = CURVES.index(f"{prefix}_{kind}")
            scale = 100 if kind == "acc" else 1
            for fold in run.folds:
                axes.plot(scale * fold.curves[:, column], color=colour, alpha=0.3, linewidth=0.8)
            axes.plot(scale * run.mean[:, column], color=colour, linewidth=2.4, label=f"{words}{several}")
        best = [(fold.best_epoch, scale * fold.curves[fold.best_epoch, column]) for fold in run.folds]
        axes.plot(*zip(*best, strict=True), "o", ms=4.5, mfc=ORANGE, mec="white", mew=0.7, label="best epoch")
        _label_curves(axes, run, kind)

    return draw


def _label_curves(axes: Axes, run: Run, kind: str) -> None:
    axes.set_xlabel("epoch, from 0")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color="#E3E3E3", linewidth=0.7)
    axes.set_axisbelow(True)
    if kind == "acc":
        axes.axhline(100 * run.chance, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        axes.text(
            1, 100 * run.chance, "chance", transform=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=9
        )
        axes.set_ylim(0, 102)
        axes.set_ylabel("accuracy, %")
    else:
        axes.set_ylim(0, _highest_loss(run))
        axes.set_ylabel("cross-entropy, nats")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=3, columnspacing=1.4, handlelength=1.6)


def _highest_loss(run: Run) -> float:
    """The top of the loss axis: a fold that diverges must not press all others flat."""
    highest = max(fold.curves[:, 2:].max() for fold in run.folds)
    start = max(math.log(len(run.names)), run.mean[0, 2:].max())
    return float(min(1.04 * highest, _CUT * start))


def _draw_matrix(axes: Axes, run: Run, points: float) -> None:
    counts = run.counts.sum(axis=0)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells = np.argwhere(counts)
    squares = PatchCollection([Rectangle((x - 0.5, y - 0.5), 1, 1) for y, x in cells], cmap="Blues", linewidth=0)
    squares.set_array(shares[tuple(cells.T)])
    squares.set_clim(0, 1)
    axes.add_collection(squares)
    for row, column in cells:
        colour, digits = "white" if shares[row, column] > 0.5 else "#222222", len(str(counts[row, column]))
        size = points * (1 if digits < 3 else 0.85 if digits == 3 else 0.65)
        style: dict[str, Any] = {"ha": "center", "va": "center_baseline", "color": colour, "fontsize": size}
        axes.text(column, row, str(counts[row, column]), **style)
    _label_matrix(axes, run.names, points)


def _label_matrix(axes: Axes, names: Sequence[str], points: float) -> None:
    places, labels = range(len(names)), [_short(name) for name in names]
    turned: dict[str, Any] = {"rotation": 90, "rotation_mode": "anchor"}  # in place whatever the reader's font
    axes.set_xticks(places, labels=labels, fontsize=points, ha="right", va="center", **turned)
    axes.set_yticks(places, labels=labels, fontsize=points)
    edges = np.arange(len(names) + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color="#E3E3E3", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    box = axes.get_position()
    middle_x, middle_y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    axes.figure.text(middle_x, 0.005, "predicted class", ha="center", va="bottom", weight="bold")
    axes.figure.text(0.005, middle_y, "actual class", ha="center", va="top", weight="bold", **turned)


def _draw_share_bar(axes: Axes) -> None:
    axes.imshow(np.linspace(0, 1, 64)[:, None], cmap="Blues", origin="lower", extent=(0, 1, 0, 100), aspect="auto")
    axes.set_xticks([])
    axes.set_yticks([0, 50, 100], labels=["0 %", "50 %", "100 %"], fontsize=8)
    axes.yaxis.tick_right()
    axes.tick_params(length=2)
    axes.spines[:].set_visible(False)
    axes.set_title("of the\nactual class", fontsize=8, loc="left", pad=9)


def _draw_recalls(axes: Axes, run: Run, row: float, points: float) -> None:
    """row: its height in inches."""
    recalls = 100 * run.recalls
    means = np.array([float(row["recall_mean"] or "nan") for row in run.classes]) * 100
    order = np.argsort(-np.nan_to_num(means, nan=-1), kind="stable")
    for place, label in enumerate(order):
        values = np.sort(recalls[:, label][~np.isnan(recalls[:, label])])
        dots: dict[str, Any] = {"color": BLUE, "alpha": 0.65, "markersize": 3.8, "markeredgewidth": 0}
        axes.plot(values, place + _spread(values, 4.2 / (row * _POINTS)), "o", **dots)
        mean: dict[str, Any] = {"color": ORANGE, "linewidth": 2.6, "solid_capstyle": "butt"}
        axes.plot([means[label]] * 2, [place - 0.42, place + 0.42], **mean)
    axes.set_yticks(range(len(order)), labels=[_short(run.names[i]) for i in order], fontsize=points)
    axes.set(xlim=(-2, 102), ylim=(max(len(order), 3) - 0.5, -0.6))
    axes.set_xlabel("recall, %")
    axes.grid(axis="both", color="#E9E9E9", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _spread(values: np.ndarray[Any, Any], dot: float) -> np.ndarray[Any, Any]:
    """Vertical offsets that keep equal values apart, up and down from the row's middle. dot: its height, in rows."""
    offsets = np.zeros(len(values))
    for value in np.unique(values):
        same = values == value
        count = int(same.sum())
        step = min(dot, 0.8 / count)
        offsets[same] = step * (np.arange(count) - (count - 1) / 2)
    return offsets


def _short(name: str) -> str:
    """A class name that fits: a long one loses its middle, for the end often tells it from the next one."""
    clean = displayed(name)
    if _ems(clean) <= _LABEL:
        return clean
    room = int(_LABEL * len(clean) / _ems(clean)) - 1
    return f"{clean[: -(-2 * room // 3)]}…{clean[-(room // 3) :]}"


def _ems(text: str) -> float:
    return sum(1.0 if unicodedata.east_asian_width(char) in "WF" else 0.57 for char in text)
