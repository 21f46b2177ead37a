"""train.validation: none trains for a fixed number of epochs on all other folds, and reads the held-out one once."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load

from audiocnn.config.train_params import TrainParams
from audiocnn.data.dataset import split_rows
from audiocnn.data.prepared import read_meta
from audiocnn.evaluation.fold_results import FoldResult
from audiocnn.folds.status import fold_status
from audiocnn.model.weights import read_header
from audiocnn.training.state import FoldJob
from tests.support.prepared import write_prepared
from tests.support.training import TRAIN, make_job, make_plan, result_bytes, same_value, train_until

NONE = TrainParams(**{**TRAIN.model_dump(), "validation": "none", "early_stopping_patience": 1})


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    write_prepared(tmp_path / "prepared")
    return tmp_path / "prepared"


def result_of(job: FoldJob) -> FoldResult:
    return FoldResult.model_validate_json(result_bytes(job.folder)["fold_0.json"])


def test_all_epochs_are_trained_and_the_weights_are_the_last_ones(prepared: Path, tmp_path: Path) -> None:
    job = make_job(prepared, tmp_path / "checkpoints", NONE)
    assert train_until(job).trained == list(range(NONE.epochs))
    result = result_of(job)
    assert result.best_epoch == NONE.epochs - 1
    assert result.history.series.keys() == {"loss", "accuracy", "lr"}
    weights = load(result_bytes(job.folder)["model_fold_0_best.safetensors"])
    assert same_value(weights, load((job.folder / f"epoch_{NONE.epochs - 1}.safetensors").read_bytes()))
    header = read_header(job.folder / "model_fold_0_best.safetensors")
    assert header is not None
    assert (header.validation, header.accuracy, header.epoch) == ("none", None, NONE.epochs - 1)


def test_nothing_of_the_held_out_fold_reaches_the_weights(prepared: Path, tmp_path: Path) -> None:
    job = make_job(prepared, tmp_path / "one", NONE)
    train_until(job)
    held_out = split_rows(prepared, read_meta(prepared), 0, "none").held_out
    for name in ("features", "labels"):
        array = np.load(prepared / f"{name}.npy")
        array[held_out] = array[held_out][::-1]
        np.save(prepared / f"{name}.npy", array)
    other = make_job(prepared, tmp_path / "other", NONE)
    train_until(other)
    ours, theirs = result_bytes(job.folder), result_bytes(other.folder)
    assert ours["model_fold_0_best.safetensors"] == theirs["model_fold_0_best.safetensors"]
    assert json.loads(ours["fold_0.json"])["held_out"] != json.loads(theirs["fold_0.json"])["held_out"]


def test_a_run_interrupted_after_every_epoch_ends_in_the_same_bytes(prepared: Path, tmp_path: Path) -> None:
    undisturbed, job = make_job(prepared, tmp_path / "one", NONE), make_job(prepared, tmp_path / "other", NONE)
    train_until(undisturbed)
    trained = [epoch for last in range(NONE.epochs + 1) for epoch in train_until(job, last).trained]
    assert trained == list(range(NONE.epochs))
    assert result_bytes(job.folder) == result_bytes(undisturbed.folder)


def test_its_status_shows_no_accuracy(prepared: Path, tmp_path: Path) -> None:
    plan = make_plan(prepared, tmp_path / "checkpoints", NONE)
    train_until(FoldJob(0, plan.key(0), prepared, plan.folder(0), plan.meta, plan.model, NONE))
    assert fold_status(plan, 0) == ("finished", str(NONE.epochs), "", "")
