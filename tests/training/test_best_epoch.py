"""Which epoch's weights count: the one of highest accuracy, and of equals the first or the one of lowest loss."""

import pytest

from audiocnn.training.state import Progress

EPOCHS = [(1.0, 0.5), (0.9, 0.8), (0.7, 0.8), (0.8, 0.8), (0.1, 0.7)]  # loss, accuracy


@pytest.mark.parametrize(("ties_by_loss", "best"), [(False, 1), (True, 2)])
def test_equal_accuracies_are_told_apart_by_the_loss_or_the_first_stays(ties_by_loss: bool, best: int) -> None:
    progress = Progress()
    for loss, accuracy in EPOCHS:
        metrics = {"loss": loss, "accuracy": accuracy, "val_loss": loss, "val_accuracy": accuracy, "lr": 0.1}
        progress.record(metrics, ties_by_loss)
    assert (progress.best_epoch, progress.best_accuracy) == (best, 0.8)
