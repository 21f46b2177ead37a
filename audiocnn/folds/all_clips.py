"""The network on all clips: how long it trains by what the cross-validation found, its plan, and its record."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from audiocnn.config.all_clips import ALL_CLIPS, ALL_CLIPS_RECORD, ALL_CLIPS_WEIGHTS
from audiocnn.config.outs import fold_result_name, weights_name
from audiocnn.config.settings import Settings, parse_json
from audiocnn.config.train_params import TrainParams
from audiocnn.errors import UserError
from audiocnn.evaluation.fold_results import FoldResult, History, fold_result_path, read_fold_result
from audiocnn.evaluation.metrics import mean_std
from audiocnn.evaluation.read import headline_metrics
from audiocnn.evaluation.rows import fold_row
from audiocnn.files import write_atomically, write_json
from audiocnn.folds.plan import Plan


class AllClipsRecord(Settings):
    """model_all_clips.json. clips: that trained. weights: sha256 of their file. folds: KEYs of the cross-validation."""

    format: Literal[1]
    key: str
    clips: Annotated[int, Field(ge=1)]
    device: str
    torch: str
    history: History
    weights: str
    folds: dict[int, str]

    @property
    def epochs(self) -> int:
        """How many it was trained for."""
        return len(self.history.loss)


def finished_folds(plan: Plan, folds: Sequence[int]) -> list[FoldResult]:
    """The results of a finished cross-validation, by ascending fold.

    From the folds' checkpoints, or from results/folds, where DVC restores them. Raises UserError where a fold has none
    under the plan.
    """
    return [_result(plan, fold) for fold in sorted(folds)]


def _result(plan: Plan, fold: int) -> FoldResult:
    if (files := plan.results(fold)) is not None:
        return FoldResult.model_validate_json(files[fold_result_name(fold)])
    result = read_fold_result(fold)
    if result.key != replace(plan, device=result.device).key(fold):
        raise UserError(f"{fold_result_path(fold)} is of other params, data or code than these: run 'dvc repro' first.")
    return result


def all_clips_train(train: TrainParams, results: Sequence[FoldResult]) -> TrainParams:
    """The training procedure on all clips: that of the folds, with nothing chosen.

    It ends after the median, over the folds, of the epochs that their weights were trained for: under `none` all of
    train.epochs, else those up to the best. No temperature: that takes clips which do not train. Raises UserError where
    the other params do not fit so few epochs.
    """
    epochs = int(median(result.best_epoch + 1 for result in results) + 0.5)
    if epochs <= train.warmup_epochs:
        raise UserError(
            f"the network on all clips would train for {epochs} epochs, after which half of the folds were at their "
            f"best, and train.warmup_epochs in params.yaml is {train.warmup_epochs}: set a smaller one."
        )
    return train.model_copy(update={"epochs": epochs, "validation": "none", "calibrate": False})


def all_clips_plan(plan: Plan, results: Sequence[FoldResult]) -> Plan:
    """The plan whose fold ALL_CLIPS is the network on all clips."""
    return replace(plan, train=all_clips_train(plan.train, results))


def begun_plan(plan: Plan, folds: Sequence[int]) -> Plan | None:
    """The plan of the network on all clips, where its training has begun under these params, data and code."""
    if not any(plan.root.glob(f"fold_{ALL_CLIPS}-*")):
        return None
    try:
        own = all_clips_plan(plan, finished_folds(plan, folds))
    except UserError:  # the cross-validation is not finished: whatever was trained before was another's
        return None
    return own if own.folder(ALL_CLIPS).is_dir() else None


def what_it_is_worth(clips: int, epochs: int, results: Sequence[FoldResult]) -> str:
    """What is known of a network on all clips, without a full stop. results: of the cross-validation's folds."""
    metric, _ = headline_metrics(results[0].validation)
    mean, std = mean_std(float(fold_row(result)[metric]) for result in results)
    return (
        f"trained on all {clips} clips for a fixed number of epochs, {epochs}; no clip was held out, so it has no "
        f"accuracy of its own: the cross-validation's is {mean:.4f} ± {std:.4f} ({metric})"
    )


def write_all_clips(own: Plan, results: Sequence[FoldResult], folder: Path) -> Path | None:
    """Writes the finished network and its record into a folder; returns the weights' path, None if not finished."""
    files = own.results(ALL_CLIPS)
    if files is None:
        return None
    weights, record = files[weights_name(ALL_CLIPS)], parse_json(files[fold_result_name(ALL_CLIPS)])
    sha256 = hashlib.sha256(weights).hexdigest()
    keys = {str(result.fold): result.key for result in results}
    write_atomically(folder / ALL_CLIPS_WEIGHTS, weights)
    write_json(folder / ALL_CLIPS_RECORD, {**record, "weights": sha256, "folds": keys})
    return folder / ALL_CLIPS_WEIGHTS


def read_record(folder: Path) -> AllClipsRecord:
    """What write_all_clips wrote beside the weights. Raises UserError where it is missing or damaged."""
    path = folder / ALL_CLIPS_RECORD
    try:
        return AllClipsRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        raise UserError(f"{path} is missing or damaged: run 'audiocnn train --all-clips' again.") from None
