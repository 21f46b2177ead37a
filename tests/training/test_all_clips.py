"""The network on all clips: every clip trains it for a fixed number of epochs, and a kill costs it no byte."""

import json
from pathlib import Path

import numpy as np
import pytest

from audiocnn.config.all_clips import ALL_CLIPS
from audiocnn.config.train_params import TrainParams
from audiocnn.data.prepared import read_meta
from audiocnn.model.weights import WeightsHeader, read_header
from audiocnn.training.all_clips import train_all_clips
from audiocnn.training.state import FoldJob
from tests.support.prepared import write_prepared
from tests.support.training import LEVERS_ON, TRAIN, make_job, result_bytes, train_until

WEIGHTS, RECORD = "model_fold_-1_best.safetensors", "fold_-1.json"
NONE = TRAIN.model_copy(update={"validation": "none", "early_stopping_patience": 1})
each_setting = pytest.mark.parametrize(
    "train", [NONE, LEVERS_ON.model_copy(update={"validation": "none"})], ids=["published", "levers"]
)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    write_prepared(tmp_path / "prepared", frames=24)
    return tmp_path / "prepared"


def job_in(folder: Path, prepared: Path, train: TrainParams = NONE) -> FoldJob:
    return make_job(prepared, folder, train, fold=ALL_CLIPS)


def trained(job: FoldJob, until: int | None = None) -> list[int]:
    """Trains it up to and with an epoch, or to its end; the epochs that were trained."""
    return train_until(job, until, train_all_clips).trained


def header_of(job: FoldJob) -> WeightsHeader:
    header = read_header(job.folder / WEIGHTS)
    assert header is not None
    return header


def test_it_trains_for_exactly_its_epochs_and_says_that_nothing_is_held_out(prepared: Path, tmp_path: Path) -> None:
    job = job_in(tmp_path / "checkpoints", prepared)
    assert trained(job) == list(range(NONE.epochs))
    header = header_of(job)
    assert (header.fold, header.dataset_fold, header.epoch) == (ALL_CLIPS, ALL_CLIPS, NONE.epochs - 1)
    assert (header.validation, header.accuracy, header.temperature) == ("none", None, None)
    record = json.loads((job.folder / RECORD).read_bytes())
    assert record["clips"] == read_meta(prepared).clips
    assert {name: len(series) for name, series in record["history"].items()} == dict.fromkeys(
        ("loss", "accuracy", "lr"), NONE.epochs
    )


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_a_clip_of_whatever_fold_reaches_the_weights(prepared: Path, tmp_path: Path, fold: int) -> None:
    trained(before := job_in(tmp_path / "before", prepared))
    features = np.load(prepared / "features.npy")
    features[np.flatnonzero(np.load(prepared / "folds.npy") == fold)[0]] += 1
    np.save(prepared / "features.npy", features)
    trained(after := job_in(tmp_path / "after", prepared))
    assert (before.folder / WEIGHTS).read_bytes() != (after.folder / WEIGHTS).read_bytes()


@each_setting
def test_interrupted_after_every_epoch_it_ends_in_the_same_bytes(
    prepared: Path, tmp_path: Path, train: TrainParams
) -> None:
    undisturbed, job = job_in(tmp_path / "one", prepared, train), job_in(tmp_path / "other", prepared, train)
    trained(undisturbed)
    epochs = [epoch for last in range(train.epochs + 1) for epoch in trained(job, last)]
    assert epochs == list(range(train.epochs))
    assert result_bytes(job.folder, ALL_CLIPS) == result_bytes(undisturbed.folder, ALL_CLIPS)


def test_its_input_is_normalised_by_all_clips(prepared: Path, tmp_path: Path) -> None:
    trained(job := job_in(tmp_path / "checkpoints", prepared, NONE.model_copy(update={"normalise": "global"})))
    normalisation = header_of(job).normalisation
    assert normalisation is not None
    assert normalisation.mean == pytest.approx([np.load(prepared / "features.npy").mean(dtype=np.float64)], abs=1e-6)
