"""The confusion matrix of a release as a picture. Needs the extra `audiocnn[report]`."""

from collections.abc import Sequence

import numpy as np

from audiocnn.errors import UserError
from audiocnn.evaluation.fold_results import FoldResult
from audiocnn.evaluation.metrics import confusion_counts


def confusion_png(results: Sequence[FoldResult]) -> bytes:
    """The held-out clips of all folds as the report's confusion matrix, in PNG.

    The same bytes for the same results and the same matplotlib. Raises UserError where matplotlib is not installed.
    """
    try:
        from audiocnn.report import confusion_matrix
    except ModuleNotFoundError:
        raise UserError(
            "the confusion matrix needs matplotlib: install it with \"pip install -c constraints.txt -e '.[report]'\"."
        ) from None
    actual = np.concatenate([result.labels for result in results])
    predicted = np.concatenate([result.predictions for result in results])
    classes = results[0].classes
    return confusion_matrix.confusion_png(confusion_counts(actual, predicted, len(classes)), classes)
