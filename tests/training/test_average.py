"""The averaged weights are the average of those after each step, and their batch-norm statistics are their own."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from audiocnn.config.train_params import TrainParams
from audiocnn.model.network import AudioCNN
from audiocnn.training.average import average_weights, measure_batch_norms
from tests.support.prepared import CLASSES, write_prepared
from tests.support.training import MODEL, TRAIN, make_job, result_bytes, same_value, train_until

MELS, FRAMES = 8, 16


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    write_prepared(tmp_path / "prepared")
    return tmp_path / "prepared"


def network(seed: int) -> AudioCNN:
    torch.manual_seed(seed)
    return AudioCNN(MELS, len(CLASSES), FRAMES, **MODEL.model_dump())


def test_the_average_is_exponential_and_soon_forgets_the_initial_weights() -> None:
    average, model = network(0), network(1)
    first, second = average.fc1.weight.detach().clone(), model.fc1.weight.detach()
    average_weights(average, model, decay=0.9, step=0)
    torch.testing.assert_close(average.fc1.weight.detach(), 0.1 * first + 0.9 * second)  # (1 + 0) / (10 + 0)
    before = average.fc1.weight.detach().clone()
    average_weights(average, model, decay=0.9, step=1000)
    torch.testing.assert_close(average.fc1.weight.detach(), 0.9 * before + 0.1 * second)


def test_its_statistics_are_those_that_the_clips_have_under_its_weights() -> None:
    average = network(0)
    clips = torch.randn(40, MELS, FRAMES) * 20 - 40
    measure_batch_norms(average, torch.split(clips, 10))
    norm = average.encoder1.bn
    convolved = average.encoder1.conv(clips.unsqueeze(1)).detach()
    parts = torch.stack([part.var(dim=(0, 2, 3)) for part in torch.split(convolved, 10)])
    torch.testing.assert_close(norm.running_mean, convolved.mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(norm.running_var, parts.mean(dim=0), rtol=1e-3, atol=1e-3)
    assert average.encoder1.dropout.p > 0  # and was off: with it, a second pass would give others in the blocks after
    before = {name: buffer.clone() for name, buffer in average.named_buffers()}
    measure_batch_norms(average, torch.split(clips, 10))
    assert all(torch.equal(buffer, before[name]) for name, buffer in average.named_buffers())


def test_the_weights_that_are_kept_are_the_average_and_not_the_last_steps(prepared: Path, tmp_path: Path) -> None:
    averaged = TrainParams(**{**TRAIN.model_dump(), "ema_decay": 0.9, "validation": "none"})
    job = make_job(prepared, tmp_path, averaged)
    train_until(job)
    kept = load(result_bytes(job.folder)["model_fold_0_best.safetensors"])
    parts = torch.load(job.folder / f"epoch_{averaged.epochs - 1}.pt", weights_only=True)["parts"]
    assert kept.keys() == parts["average"].keys()
    assert all(torch.equal(kept[name], tensor) for name, tensor in parts["average"].items())
    assert not torch.equal(kept["fc1.weight"], parts["model"]["fc1.weight"])


def test_the_training_itself_is_the_same_with_an_average_beside_it(prepared: Path, tmp_path: Path) -> None:
    weights = []
    for decay in (0.0, 0.9):
        train = TrainParams(**{**TRAIN.model_dump(), "ema_decay": decay, "validation": "none"})
        job = make_job(prepared, tmp_path, train)
        train_until(job, 3)
        weights.append(torch.load(job.folder / "epoch_3.pt", weights_only=True)["parts"]["model"])
    assert same_value(*weights)
