"""results/folds/fold_k.json: what training a fold leaves behind, read and checked. No torch here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from audiocnn.config.data_params import SourceKind
from audiocnn.config.outs import FOLD_RESULTS, fold_result_name
from audiocnn.config.settings import Settings
from audiocnn.errors import UserError

_LARGEST = 1e100  # far above what float32 holds, and its square is a float still: means and deviations are finite
Real = Annotated[float, Field(allow_inf_nan=False, ge=-_LARGEST, le=_LARGEST)]
Series = Annotated[tuple[Real, ...], Field(min_length=1)]
Natural = Annotated[int, Field(ge=0)]
Temperature = Annotated[float, Field(ge=0.01, le=100.0)]


class History(Settings):
    """One value an epoch, counted from 0: losses in nats, accuracies from 0 to 1, the learning rate.

    val_loss, val_accuracy: None where train.validation is `none`.
    """

    loss: Series
    accuracy: Series
    val_loss: Series | None = None
    val_accuracy: Series | None = None
    lr: Series

    @model_validator(mode="after")
    def _equally_long(self) -> Self:
        if (self.val_loss is None) != (self.val_accuracy is None):
            raise ValueError("val_loss and val_accuracy, or neither")
        if len({len(series) for series in self.series.values()}) != 1:
            raise ValueError("series of equal length")
        return self

    @property
    def series(self) -> dict[str, tuple[float, ...]]:
        """The series that there are, by name."""
        return {name: values for name in History.model_fields if (values := getattr(self, name)) is not None}


class HeldOut(Settings):
    """The held-out clips at the best epoch: row in the prepared arrays, label, and one logit a class.

    temperature: what the logits are divided by already; None without train.calibrate.
    """

    rows: Annotated[tuple[Natural, ...], Field(min_length=1)]
    labels: tuple[Natural, ...]
    logits: tuple[tuple[Real, ...], ...]
    temperature: Temperature | None = None


class FoldResult(Settings):
    """One fold's JSON. Under `held_out` the val_* series are of the held-out clips; under `previous_fold` they are
    of the fold before; under `none` there are none, and best_epoch is the last one. Under these two the held-out clips
    were read once, after training.
    """

    format: Literal[1]
    key: str
    fold: Natural
    dataset_fold: int
    source: SourceKind
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    device: str
    torch: str
    validation: Literal["held_out", "previous_fold", "none"]
    best_epoch: Natural
    history: History
    held_out: HeldOut

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        clips = self.held_out
        if self.best_epoch >= len(self.history.loss):
            raise ValueError(f"best_epoch below the {len(self.history.loss)} epochs of history")
        if (self.validation == "none") != (self.history.val_accuracy is None):
            raise ValueError("val_loss and val_accuracy in history unless validation is none")
        if not len(clips.rows) == len(clips.labels) == len(clips.logits):
            raise ValueError("as many labels and rows of logits as rows")
        if max(clips.labels) >= len(self.classes) or {len(row) for row in clips.logits} != {len(self.classes)}:
            raise ValueError(f"labels and logits for {len(self.classes)} classes")
        return self

    @property
    def val_accuracy(self) -> float | None:
        """The validation clips' accuracy at the best epoch; None where nothing validates."""
        return None if self.history.val_accuracy is None else self.history.val_accuracy[self.best_epoch]

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(clips,) int64: the held-out clips' labels."""
        return np.array(self.held_out.labels, dtype=np.int64)

    @property
    def logits(self) -> npt.NDArray[np.float64]:
        """(clips, classes) float64: the held-out clips' logits at the best epoch."""
        return np.array(self.held_out.logits, dtype=np.float64)

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """(clips,) int64: the class of the largest logit, the first of equals."""
        largest: npt.NDArray[np.int64] = self.logits.argmax(axis=1)
        return largest

    @property
    def test_accuracy(self) -> float:
        """The share of the held-out clips that the network of the best epoch recognises."""
        return float((self.predictions == self.labels).mean())


def fold_result_path(fold: int, folder: Path = FOLD_RESULTS) -> Path:
    """Where a fold's result is."""
    return folder / fold_result_name(fold)


def read_fold_result(fold: int, folder: Path = FOLD_RESULTS) -> FoldResult:
    """A fold's result. Raises UserError where it is missing, damaged, or contradicts itself."""
    path = fold_result_path(fold, folder)
    try:
        result = FoldResult.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"fold {fold} has no result, {path} is not here: run 'dvc repro'.") from None
    except ValidationError as error:
        raise UserError(f"{path} is damaged ({_first_problem(error)}): run 'dvc repro -f train_fold@{fold}'.") from None
    if result.fold != fold:
        raise UserError(f"{path} holds fold {result.fold}: run 'dvc repro -f train_fold@{fold}'.")
    _check_accuracy(result, path)
    return result


def read_fold_results(folds: Sequence[int], folder: Path = FOLD_RESULTS) -> list[FoldResult]:
    """The listed folds' results, by ascending fold. Raises UserError as for one, or where they do not go together."""
    results = [read_fold_result(fold, folder) for fold in sorted(folds)]
    first = results[0]
    for result in results[1:]:
        for name in ("source", "classes", "validation"):
            if getattr(result, name) != getattr(first, name):
                raise UserError(
                    f"folds {first.fold} and {result.fold} differ in {name}, {_text(getattr(first, name))} against "
                    f"{_text(getattr(result, name))}: run 'dvc repro' to train all folds alike."
                )
    return results


def mixture(results: Sequence[FoldResult]) -> str | None:
    """One line where folds were trained on different kinds of device or by different torch versions, else None."""
    places = sorted({f"{result.device} with torch {result.torch}" for result in results})
    if len(places) == 1:
        return None
    return f"folds were trained on {' and on '.join(places)}: they agree statistically, not to the last bit"


def delete_unlisted(folds: Sequence[int], folder: Path = FOLD_RESULTS) -> list[Path]:
    """Deletes the results of folds that are not listed (DVC would hash them as part of the folder); returns them."""
    listed = {fold_result_path(fold, folder) for fold in folds}
    leftover = sorted(set(folder.glob("fold_*.json")) - listed)
    for path in leftover:
        path.unlink()
    return leftover


def _check_accuracy(result: FoldResult, path: Path) -> None:
    """Under `held_out` the logits must give the history's accuracy: else weights and history are of different runs."""
    if result.validation != "held_out" or result.val_accuracy is None:
        return
    expected = result.val_accuracy * len(result.labels)
    correct = int((result.predictions == result.labels).sum())
    if abs(correct - expected) >= 0.5:  # clips
        raise UserError(
            f"{path}: fold {result.fold}'s logits classify {correct} of {len(result.labels)} clips correctly, but its "
            f"history says {expected:.0f} at epoch {result.best_epoch}: run 'dvc repro -f train_fold@{result.fold}'."
        )


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _text(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else f"({', '.join(value)})"
