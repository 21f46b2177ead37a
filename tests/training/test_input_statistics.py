"""The input is normalised by the clips that train, and by no other; prediction does what training did."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from audiocnn.config.train_params import TrainParams
from audiocnn.data.dataset import FoldData, open_dataset, split_rows
from audiocnn.data.prepared import read_meta
from audiocnn.inference.pretrained import load_weights
from audiocnn.training.input_statistics import input_normalisation
from tests.support.prepared import write_prepared
from tests.support.training import TRAIN, make_job, result_bytes, train_until


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    write_prepared(tmp_path / "prepared")
    return tmp_path / "prepared"


def fold_data(prepared: Path) -> FoldData:
    return FoldData(open_dataset(prepared, "cpu"), *split_rows(prepared, read_meta(prepared), 0, "held_out"))


def test_the_numbers_are_those_of_the_training_rows(prepared: Path) -> None:
    data = fold_data(prepared)
    clips = np.load(prepared / "features.npy")[data.train].astype(np.float64)
    by_mel, of_all = input_normalisation(data, "mel"), input_normalisation(data, "global")
    assert by_mel is not None
    assert of_all is not None
    np.testing.assert_allclose(by_mel.mean, clips.mean(axis=(0, 2)), atol=1e-6)
    np.testing.assert_allclose(by_mel.std, clips.std(axis=(0, 2)), atol=1e-6)
    np.testing.assert_allclose((*of_all.mean, *of_all.std), (clips.mean(), clips.std()), atol=1e-6)
    assert input_normalisation(data, "none") is None


def test_the_held_out_fold_does_not_change_them(prepared: Path) -> None:
    data = fold_data(prepared)
    before = input_normalisation(data, "mel")
    features = np.load(prepared / "features.npy")
    features[data.held_out] = 1000
    np.save(prepared / "features.npy", features)
    assert input_normalisation(fold_data(prepared), "mel") == before


def test_a_band_that_is_silent_is_not_divided_by_zero(prepared: Path) -> None:
    features = np.load(prepared / "features.npy")
    features[:, 3] = -80
    np.save(prepared / "features.npy", features)
    found = input_normalisation(fold_data(prepared), "mel")
    assert found is not None
    assert (found.mean[3], found.std[3]) == (-80, 1)


@pytest.mark.parametrize("kind", ["global", "mel"])
def test_loaded_weights_give_the_logits_of_training(prepared: Path, tmp_path: Path, kind: str) -> None:
    job = make_job(prepared, tmp_path, TrainParams(**{**TRAIN.model_dump(), "normalise": kind}))
    train_until(job)
    held_out = json.loads(result_bytes(job.folder)["fold_0.json"])["held_out"]
    model = load_weights(job.folder / "model_fold_0_best.safetensors")
    clips = torch.from_numpy(np.load(prepared / "features.npy")[held_out["rows"]])
    torch.testing.assert_close(model(clips), torch.tensor(held_out["logits"]))
