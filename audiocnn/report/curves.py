"""The learning curves as figures. Needs the extra `audiocnn[report]`."""

import math
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from audiocnn.evaluation.rows import CURVES
from audiocnn.report.numbers import CrossValidation
from audiocnn.report.render import BLUE, GREY, ORANGE, svg

_SIZE = (4.7, 3.2)  # inches
_LOSSES = slice(2, 4)  # the columns of CURVES that are losses
_HIGHEST = 2.5  # a loss that is this many times as high as that of guessing is cut off


def accuracy_curves(crossval: CrossValidation, validation: str) -> str:
    """Accuracy by epoch, as an <svg> element: each fold thin, the mean thick, the best epochs as dots.

    validation: which clips val_acc is of, for the legend.
    """
    draw = _curves(crossval, "acc", validation)
    return svg("accuracy", f"Accuracy by epoch, {_clips(crossval, validation)}", _SIZE, draw)


def loss_curves(crossval: CrossValidation, validation: str) -> str:
    """Cross-entropy by epoch, as accuracy_curves."""
    draw = _curves(crossval, "loss", validation)
    return svg("loss", f"Loss by epoch, {_clips(crossval, validation)}", _SIZE, draw)


def loss_is_cut(crossval: CrossValidation) -> bool:
    """Whether loss_curves leaves out values that are too high."""
    return _highest_loss(crossval) > _top_of_axis(crossval)


def _clips(crossval: CrossValidation, validation: str) -> str:
    return f"training and {validation}" if crossval.is_chosen else "training"


def _curves(crossval: CrossValidation, kind: str, validation: str) -> Callable[[Figure], None]:
    """What draws the curves of a metric. kind: its name in CURVES after train_ and val_."""

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.115, 0.15, 0.865, 0.75))
        mean = ", mean" if len(crossval.folds) > 1 else ""
        _draw_curves(axes, crossval, f"train_{kind}", BLUE, f"training{mean}")
        if crossval.is_chosen:
            _draw_curves(axes, crossval, f"val_{kind}", ORANGE, f"{validation}{mean}")
            _draw_best_epochs(axes, crossval, f"val_{kind}")
        _label_epochs(axes)
        if kind == "acc":
            _label_accuracy(axes, crossval.chance_level)
        else:
            axes.set_ylim(0, _top_of_axis(crossval))
            axes.set_ylabel("cross-entropy, nats")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=3, columnspacing=1.4, handlelength=1.6)

    return draw


def _draw_curves(axes: Axes, crossval: CrossValidation, metric: str, colour: str, label: str) -> None:
    column = CURVES.index(metric)
    for fold in crossval.folds:
        axes.plot(fold.curves[:, column], color=colour, alpha=0.3, linewidth=0.8)
    axes.plot(crossval.mean_curves[:, column], color=colour, linewidth=2.4, label=label)


def _draw_best_epochs(axes: Axes, crossval: CrossValidation, metric: str) -> None:
    column = CURVES.index(metric)
    epochs = [fold.best_epoch for fold in crossval.folds]
    values = [fold.curves[fold.best_epoch, column] for fold in crossval.folds]
    axes.plot(epochs, values, "o", ms=4.5, mfc=ORANGE, mec="white", mew=0.7, label="best epoch")


def _label_epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch, from 0")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color="#E3E3E3", linewidth=0.7)
    axes.set_axisbelow(True)


def _label_accuracy(axes: Axes, chance: float) -> None:
    axes.axhline(chance, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    right_edge = axes.get_yaxis_transform()  # x from 0 to 1 over the axes, y in data
    axes.text(1, chance, "chance", transform=right_edge, ha="right", va="bottom", fontsize=9)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("accuracy")


def _highest_loss(crossval: CrossValidation) -> float:
    return float(max(np.nanmax(fold.curves[:, _LOSSES]) for fold in crossval.folds))


def _top_of_axis(crossval: CrossValidation) -> float:
    """The top of the loss axis: a fold that diverges must not flatten the curves of all others."""
    guessing = math.log(len(crossval.class_names))
    start = max(guessing, float(np.nanmax(crossval.mean_curves[0, _LOSSES])))
    return min(1.04 * _highest_loss(crossval), _HIGHEST * start)
