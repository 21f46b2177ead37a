"""The loop uses every lever: what a lever's own module computes reaches the network that trains and is kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor

from audiocnn.config.augment_params import AugmentParams
from audiocnn.config.train_params import TrainParams
from audiocnn.data.dataset import split_rows
from audiocnn.inference.pretrained import load_weights
from audiocnn.training import loop
from audiocnn.training.average import measure_batch_norms
from audiocnn.training.state import FoldJob, FoldState
from tests.support.prepared import CLASSES, write_prepared
from tests.support.training import TRAIN, make_job, train_until


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    write_prepared(tmp_path / "prepared")
    return tmp_path / "prepared"


def job_with(prepared: Path, **values: object) -> FoldJob:
    return make_job(prepared, prepared.parent, TrainParams.model_validate({**TRAIN.model_dump(), **values}))


def rows_that_train(job: FoldJob, purpose: str, epoch: int = -1) -> list[int]:
    """In the order of a purpose's seed."""
    return loop.shuffled(split_rows(job.prepared, job.meta, job.fold, "held_out").train, job.seed(purpose, epoch))


def test_the_rate_in_the_history_is_that_of_the_cosine_at_each_epochs_last_step(prepared: Path) -> None:
    job = job_with(prepared, epochs=4, schedule="cosine", warmup_epochs=2, lr=1e-2, min_lr=1e-4)
    rates = [metrics["lr"] for metrics in train_until(job).metrics]
    half_way_down = 1e-4 + (1e-2 - 1e-4) * (1 + np.cos(np.pi / 2)) / 2
    assert rates == pytest.approx([1e-2 / 2, 1e-2, half_way_down, 1e-4], rel=1e-8)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_loss_of_a_step_is_the_cross_entropy_of_smoothed_labels(prepared: Path, mixed: bool) -> None:
    state = FoldState(job_with(prepared, label_smoothing=0.2))
    clips = torch.from_numpy(np.load(prepared / "features.npy")[:8])
    labels = np.load(prepared / "labels.npy")[:8]
    shares = np.eye(len(CLASSES))[labels]
    if mixed:
        shares = 0.7 * shares + 0.3 * shares[::-1]
    targets = torch.from_numpy(shares).float() if mixed else torch.from_numpy(labels)
    loss, logits = loop.train_step(state, clips, targets)
    smoothed = 0.8 * shares + 0.2 / len(CLASSES)
    expected = -(smoothed * log_softmax(logits.double().numpy(), axis=1)).sum(axis=1).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_averaged_weights_that_are_kept_have_the_batch_norm_statistics_of_the_clips_that_train(
    prepared: Path,
) -> None:
    job = job_with(prepared, epochs=2, ema_decay=0.9)
    train_until(job)
    kept = load_weights(job.folder / "model_fold_0_best.safetensors")
    clips = torch.from_numpy(np.load(prepared / "features.npy")[rows_that_train(job, "average")])
    first = kept.encoder1
    convolved = first.conv(clips.unsqueeze(1)).detach()
    torch.testing.assert_close(first.bn.running_mean, convolved.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    before = {name: buffer.clone() for name, buffer in kept.named_buffers()}
    measure_batch_norms(kept, torch.split(clips, job.train.batch_size))
    for name, buffer in kept.named_buffers():
        torch.testing.assert_close(buffer, before[name], rtol=1e-4, atol=1e-5)


def first_epochs_steps(job: FoldJob, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor]:
    """What the network is shown and asked for in the first epoch: (clips, mels, frames), and the targets."""
    steps: list[tuple[Tensor, Tensor]] = []
    step = loop.train_step

    def seen(state: FoldState, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        steps.append((features, targets))
        return step(state, features, targets)

    monkeypatch.setattr(loop, "train_step", seen)
    train_until(job, 0)
    shown, asked = zip(*steps, strict=True)
    return torch.cat(shown), torch.cat(asked)


def test_augmentation_varies_each_clip_that_the_network_is_shown(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_with(prepared, augment=AugmentParams(gain_db=3.0))
    shown, _ = first_epochs_steps(job, monkeypatch)
    stored = torch.from_numpy(np.load(prepared / "features.npy")[rows_that_train(job, "order", 0)])
    added = shown - stored  # one level a clip
    torch.testing.assert_close(added, added[:, :1, :1].expand_as(added), rtol=0, atol=1e-5)
    levels = added[:, 0, 0].tolist()
    assert len(set(levels)) == len(levels)
    assert 1 < max(map(abs, levels)) < 3.01


def test_where_clips_are_mixed_the_network_is_asked_for_the_shares_of_their_labels(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_with(prepared, augment=AugmentParams(mixup_alpha=0.3))
    _, asked = first_epochs_steps(job, monkeypatch)
    assert asked.shape[1:] == (len(CLASSES),)
    labels = np.load(prepared / "labels.npy")[rows_that_train(job, "order", 0)]
    assert asked.argmax(dim=1).tolist() == labels.tolist()
    assert (asked.max(dim=1).values < 0.9).any()
