"""What is done to a clip's answer after training, crops and temperature, is in the weights, and prediction does it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from audiocnn.config.augment_params import AugmentParams
from audiocnn.config.train_params import TrainParams
from audiocnn.data.dataset import split_rows
from audiocnn.data.prepared import read_meta
from audiocnn.errors import UserError
from audiocnn.evaluation.calibration import fit_temperature
from audiocnn.inference.pretrained import load_weights
from audiocnn.model.crops import Crops
from audiocnn.model.network import AudioCNN
from audiocnn.training.state import FoldJob
from tests.support.prepared import write_prepared
from tests.support.training import TRAIN, make_job, result_bytes, train_until

PREVIOUS = {**TRAIN.model_dump(), "validation": "previous_fold"}


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    write_prepared(tmp_path / "prepared", frames=24)
    return tmp_path / "prepared"


def trained(prepared: Path, root: Path, train: TrainParams) -> FoldJob:
    job = make_job(prepared, root, train)
    train_until(job)
    return job


def held_out_logits(job: FoldJob) -> torch.Tensor:
    return torch.tensor(json.loads(result_bytes(job.folder)["fold_0.json"])["held_out"]["logits"])


def load(job: FoldJob, file: str = "model_fold_0_best.safetensors") -> AudioCNN:
    return load_weights(job.folder / file)


def clips(prepared: Path, rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.load(prepared / "features.npy")[rows])


def test_crops_are_evenly_spaced_from_the_first_frame_to_the_last() -> None:
    assert Crops(count=3, frames=20).starts(40) == [0, 10, 20]
    assert Crops(count=4, frames=40).starts(40) == [0, 0, 0, 0]


def test_a_clips_answer_over_crops_is_the_mean_of_the_windows_probabilities(prepared: Path, tmp_path: Path) -> None:
    train = TrainParams(**{**TRAIN.model_dump(), "test_crops": 3, "augment": AugmentParams(crop=0.8)})
    job = trained(prepared, tmp_path / "crops", train)
    network = load(job)
    assert network.crops is not None
    width = network.crops.frames
    assert width == 19
    held_out = clips(prepared, split_rows(prepared, job.meta, 0, "held_out").held_out)
    frames = held_out.shape[2]
    whole = load(job)
    whole.crops = None
    starts = (0, (frames - width) // 2, frames - width)
    windows = [held_out[:, :, start : start + width] for start in starts]
    probabilities = [AudioCNN.forward(whole, window).softmax(dim=1) for window in windows]  # it wants a clip's frames
    mean = torch.stack(probabilities).mean(dim=0)
    torch.testing.assert_close(network(held_out).softmax(dim=1), mean)
    torch.testing.assert_close(held_out_logits(job).softmax(dim=1), mean, atol=1e-5, rtol=1e-4)


def test_the_temperature_is_fitted_on_the_validation_clips_and_divides_the_held_out_clips_logits(
    prepared: Path, tmp_path: Path
) -> None:
    plain = trained(prepared, tmp_path / "plain", TrainParams(**PREVIOUS))
    scaled = trained(prepared, tmp_path / "scaled", TrainParams(**{**PREVIOUS, "calibrate": True}))
    validation = split_rows(prepared, read_meta(prepared), 0, "previous_fold").validation
    logits = load(plain)(clips(prepared, validation)).detach().double().numpy()
    temperature = fit_temperature(logits, np.load(prepared / "labels.npy")[validation])
    assert load(scaled).temperature == pytest.approx(temperature, abs=2e-4)
    assert temperature != 1
    held_out_json = [json.loads(result_bytes(job.folder)["fold_0.json"])["held_out"] for job in (plain, scaled)]
    assert ["temperature" in held_out for held_out in held_out_json] == [False, True]
    assert held_out_json[1]["temperature"] == load(scaled).temperature
    torch.testing.assert_close(held_out_logits(scaled) * temperature, held_out_logits(plain), atol=1e-3, rtol=1e-3)
    held_out = clips(prepared, split_rows(prepared, read_meta(prepared), 0, "previous_fold").held_out)
    torch.testing.assert_close(load(scaled)(held_out), held_out_logits(scaled), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"calibrate": True}, "set validation: previous_fold beside it"),
        ({"calibrate": True, "validation": "none"}, "set validation: previous_fold beside it"),
        ({"test_crops": 10}, "so set that below 1 beside it"),
    ],
)
def test_what_nothing_could_be_done_for_is_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises((UserError, ValueError), match=sentence):
        TrainParams.model_validate(values)
