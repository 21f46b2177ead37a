"""The clips that train, choose and report are the ones that the protocol says, and a batch is what its rows hold."""

from pathlib import Path

import numpy as np
import pytest
import torch

from audiocnn.data.dataset import SoundDataset, batches, open_dataset, split_rows
from audiocnn.data.prepared import Meta
from audiocnn.errors import UserError

NUMBERS = np.array([3, 1, 7, 3, 1, 7, 9, 9], dtype=np.int64)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    np.save(tmp_path / "features.npy", np.arange(8 * 8 * 16, dtype=np.float32).reshape(8, 8, 16))
    np.save(tmp_path / "labels.npy", np.arange(8) % 2)
    np.save(tmp_path / "folds.npy", NUMBERS)
    return tmp_path


def meta_of(folds: list[int]) -> Meta:
    return Meta(source="folder", classes=["a", "b"], clips=8, mels=8, frames=16, folds=folds, digests={})


def test_held_out_validates_on_the_fold_that_it_holds_out(prepared: Path) -> None:
    split = split_rows(prepared, meta_of([1, 3, 7, 9]), 1, "held_out")
    assert split.held_out.tolist() == split.validation.tolist() == [0, 3]
    assert split.train.tolist() == [1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize(("fold", "held_out", "validation"), [(0, [1, 4], [6, 7]), (2, [2, 5], [0, 3])])
def test_previous_fold_validates_on_the_fold_before_cyclically(
    prepared: Path, fold: int, held_out: list[int], validation: list[int]
) -> None:
    split = split_rows(prepared, meta_of([1, 3, 7, 9]), fold, "previous_fold")
    assert (split.held_out.tolist(), split.validation.tolist()) == (held_out, validation)
    assert sorted([*split.train, *split.validation, *split.held_out]) == list(range(8))


def test_none_trains_on_all_other_folds_and_validates_on_nothing(prepared: Path) -> None:
    split = split_rows(prepared, meta_of([1, 3, 7, 9]), 1, "none")
    assert (split.held_out.tolist(), split.validation.tolist()) == ([0, 3], [])
    assert split.train.tolist() == [1, 2, 4, 5, 6, 7]


def test_previous_fold_of_two_folds_leaves_nothing_to_train_on_and_says_so(prepared: Path) -> None:
    with pytest.raises(UserError, match="three folds or more"):
        split_rows(prepared, meta_of([1, 3]), 0, "previous_fold")


@pytest.mark.parametrize(("fold", "refused"), [(0, False), (1, True), (2, False)])
def test_a_split_whose_training_rows_lack_a_class_is_refused_and_names_the_folds(
    tmp_path: Path, fold: int, refused: bool
) -> None:
    """Class 1 is in folds 4 and 5 alone, which is enough for held_out and too little for previous_fold."""
    np.save(tmp_path / "folds.npy", np.array([4, 4, 5, 5, 6, 6]))
    np.save(tmp_path / "labels.npy", np.array([0, 1, 0, 1, 0, 0]))
    meta = meta_of([4, 5, 6])
    split_rows(tmp_path, meta, fold, "held_out")
    if not refused:
        split_rows(tmp_path, meta, fold, "previous_fold")
        return
    with pytest.raises(UserError) as error:
        split_rows(tmp_path, meta, fold, "previous_fold")
    text = str(error.value)
    assert "1 of 2 classes that no clip trains where folds 4 and 5 are kept from training" in text
    assert "label 1 (b): its 2 clips, from row 1, are all in folds 4 and 5" in text


def test_a_batch_is_its_rows_gathered_in_their_order(prepared: Path) -> None:
    dataset = open_dataset(prepared, "cpu")
    features = np.load(prepared / "features.npy")
    gathered = list(batches(dataset, [5, 0, 2, 7, 1], 2))
    assert [len(labels) for _, labels in gathered] == [2, 2, 1]
    assert torch.equal(torch.cat([x for x, _ in gathered]), torch.from_numpy(features[[5, 0, 2, 7, 1]]))
    assert torch.cat([labels for _, labels in gathered]).tolist() == [1, 0, 0, 1, 1]


def test_making_batches_draws_nothing_from_the_generator_that_dropout_uses(prepared: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(batches(open_dataset(prepared, "cpu"), [0, 1, 2], 2))
    assert torch.equal(before, torch.get_rng_state())


def test_one_clip_can_be_asked_for(prepared: Path) -> None:
    features, label = SoundDataset(np.ones((2, 8, 16), dtype=np.float32), np.array([0, 4]))[1]
    assert features.shape == (8, 16)
    assert label.item() == 4
