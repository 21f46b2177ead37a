"""Augmentation does to each clip what its setting says, and nothing that the setting leaves out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from audiocnn.config.augment_params import AugmentParams
from audiocnn.config.train_params import TrainParams
from audiocnn.errors import UserError
from audiocnn.training.augment import augment
from tests.support.prepared import write_prepared
from tests.support.training import TRAIN, make_job, train_until

CLIPS, MELS, FRAMES, CLASSES = 64, 12, 40, 4
LABELS = torch.arange(CLIPS) % CLASSES


def clips() -> Tensor:
    """Clips in which every value is another: it tells its clip, band and frame."""
    return torch.arange(CLIPS * MELS * FRAMES, dtype=torch.float32).reshape(CLIPS, MELS, FRAMES)


def shown(seed: int = 0, **settings: Any) -> tuple[Tensor, Tensor]:
    return augment(clips(), LABELS, AugmentParams(**settings), CLASSES, np.random.default_rng(seed))


def test_without_settings_batch_and_labels_are_the_same_objects() -> None:
    x = clips()
    found, targets = augment(x, LABELS, AugmentParams(), CLASSES, np.random.default_rng(0))
    assert found is x
    assert targets is LABELS


ALL = {
    "roll": True,
    "crop": 0.75,
    "mel_shift": 2,
    "equaliser_db": 6.0,
    "gain_db": 3.0,
    "mixup_alpha": 0.3,
    "mel_mask": 4,
    "frame_mask": 8,
}


@pytest.mark.parametrize("name", ALL)
def test_a_seed_gives_the_same_batch_and_another_seed_another(name: str) -> None:
    setting = {name: ALL[name]}
    assert torch.equal(shown(0, **setting)[0], shown(0, **setting)[0])
    assert not torch.equal(shown(0, **setting)[0], shown(1, **setting)[0])


def test_a_roll_turns_each_clip_in_time_by_its_own_number_of_frames() -> None:
    found, targets = shown(roll=True)
    turns = set()
    for before, after in zip(clips(), found, strict=True):
        turn = int((after[0, 0] - before[0, 0]).item())
        assert torch.equal(after, before.roll(-turn, dims=1))
        turns.add(turn)
    assert len(turns) > FRAMES // 2
    assert targets is LABELS


def test_a_crop_is_a_window_that_begins_anywhere_and_does_not_go_round_the_end() -> None:
    found, _ = shown(crop=0.75)
    assert found.shape == (CLIPS, MELS, 30)
    starts = (found[:, 0, 0] - clips()[:, 0, 0]).int().tolist()
    assert set(starts) == set(range(FRAMES - 30 + 1))
    for start, before, after in zip(starts, clips(), found, strict=True):
        assert torch.equal(after, before[:, start : start + 30])


@pytest.mark.parametrize(
    ("crop", "frames", "width"), [(0.74, 216, 160), (0.74, 173, 128), (0.1, 40, 16), (1.0, 40, 40)]
)
def test_a_crop_is_a_share_of_the_frames_and_never_less_than_the_network_takes(
    crop: float, frames: int, width: int
) -> None:
    assert AugmentParams(crop=crop).shown(frames) == width


def test_a_mel_shift_repeats_the_band_at_the_edge() -> None:
    found, _ = shown(mel_shift=2)
    shifts = set()
    for before, after in zip(clips(), found, strict=True):
        bands = ((after[:, 0] - before[0, 0]) / FRAMES).int()
        shift = int(5 - bands[5])
        assert bands.tolist() == (torch.arange(MELS) - shift).clamp(0, MELS - 1).tolist()
        assert torch.equal(after, before[bands])
        shifts.add(shift)
    assert shifts == {-2, -1, 0, 1, 2}


def test_an_equaliser_adds_a_curve_within_its_limit_to_all_frames_alike() -> None:
    added = shown(equaliser_db=6.0)[0].double() - clips().double()
    assert added.abs().max() <= 6.01  # the values of the clips leave three decimals
    assert added.abs().max() > 5
    torch.testing.assert_close(added, added[:, :, :1].expand_as(added), atol=0.01, rtol=0)
    assert (added[:, 0] - added[:, -1]).abs().max() > 1


def test_a_gain_adds_one_level_to_a_whole_clip() -> None:
    added = shown(gain_db=3.0)[0].double() - clips().double()
    torch.testing.assert_close(added, added[:, :1, :1].expand_as(added), atol=0.01, rtol=0)
    assert 2 < added.abs().max() <= 3.01


def test_mixing_gives_two_clips_and_their_labels_the_same_shares_and_the_own_one_the_larger() -> None:
    labels = torch.arange(CLIPS)  # a class each: the targets tell who was mixed with whom
    found, targets = augment(clips(), labels, AugmentParams(mixup_alpha=0.3), CLIPS, np.random.default_rng(0))
    assert torch.equal(targets.argmax(dim=1), labels)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(CLIPS))
    assert (targets.count_nonzero(dim=1) <= 2).all()
    assert (targets.max(dim=1).values < 0.9).sum() > CLIPS // 8
    mixed = (targets @ clips().flatten(1)).view_as(found)
    torch.testing.assert_close(found, mixed, atol=0.01, rtol=1e-5)


@pytest.mark.parametrize(("setting", "dim", "widest"), [("mel_mask", 1, 4), ("frame_mask", 2, 8)])
def test_a_mask_makes_at_most_so_many_neighbours_the_clips_mean(setting: str, dim: int, widest: int) -> None:
    found, _ = shown(**{setting: widest})
    mean = clips().mean(dim=(1, 2), keepdim=True)
    hidden = (found == mean).all(dim=3 - dim)  # (batch, mels or frames)
    assert torch.equal(found[found != mean.expand_as(found)], clips()[found != mean.expand_as(found)])
    widths = set()
    for row in hidden:
        places = row.nonzero().flatten().tolist()
        assert places == list(range(places[0], places[0] + len(places))) if places else True
        widths.add(len(places))
    assert widths == set(range(widest + 1))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"mel_shift": 8}, "train.augment.mel_shift is 8, and clips have 8 mels: 0 to 7"),
        ({"mel_mask": 9}, "train.augment.mel_mask is 9, and clips have 8 mels: 0 to 8"),
        ({"frame_mask": 17}, "train.augment.frame_mask is 17, and 16 frames are shown: 0 to 16"),
    ],
    ids=str,
)
def test_what_the_clips_are_too_small_for_is_refused_before_training(
    tmp_path: Path, setting: dict[str, Any], sentence: str
) -> None:
    write_prepared(tmp_path / "prepared")
    train = TrainParams(**{**TRAIN.model_dump(), "augment": setting})
    with pytest.raises(UserError, match=sentence):
        train_until(make_job(tmp_path / "prepared", tmp_path / "checkpoints", train))
