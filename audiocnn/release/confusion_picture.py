"""The confusion matrix as a picture. Needs the extra `audiocnn[report]`."""

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audiocnn.errors import UserError
from audiocnn.evaluation.fold_results import FoldResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 120
_MOST_NUMBERS = 25  # classes up to which a cell has room for its number


def confusion_counts(results: Sequence[FoldResult]) -> npt.NDArray[np.int64]:
    """(classes, classes) int64: held-out clips of all folds, by actual (row) and predicted (column) class."""
    classes = len(results[0].classes)
    actual = np.concatenate([result.labels for result in results])
    predicted = np.concatenate([result.predictions for result in results])
    return np.bincount(actual * classes + predicted, minlength=classes**2).reshape(classes, classes)


def confusion_png(results: Sequence[FoldResult]) -> bytes:
    """The picture as PNG: colour is the share of the actual class, numbers are clips. Raises UserError.

    The same bytes for the same results and the same matplotlib: no date, no version, none of the user's own style.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(
            "the confusion matrix needs matplotlib: install it with \"pip install -c constraints.txt -e '.[report]'\"."
        ) from None
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # signs in class names that the font lacks are drawn as boxes
        matplotlib.rcdefaults()
        side = 3 + 0.45 * len(results[0].classes)
        figure = Figure(figsize=(side, side), dpi=_DPI, layout="constrained")
        _draw(figure.add_subplot(), confusion_counts(results), results[0].classes)
        png = io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _draw(axes: "Axes", counts: npt.NDArray[np.int64], classes: Sequence[str]) -> None:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places = range(len(classes))
    # parse_math: a dollar sign in a class name is a dollar sign
    axes.set_xticks(places, labels=classes, rotation=90, parse_math=False)
    axes.set_yticks(places, labels=classes, parse_math=False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("actual class")
    axes.set_title(f"{counts.sum()} held-out clips of all folds")
    if len(classes) <= _MOST_NUMBERS:
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
