"""The prepared arrays as batches: memory-mapped features, the split of a fold, one gather a batch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from audiocnn.data.prepared import Meta
from audiocnn.errors import UserError

Rows = npt.NDArray[np.int64]
Batch = tuple[Tensor, Tensor]


class SoundDataset(Dataset[Batch]):
    """Spectrograms and labels by row.

    features: (clips, mels, frames) float32, an array or a memory map; on a CPU a batch is one gather from it, and the
    folds that train side by side share the pages. Another device holds the whole set once. labels: (clips,)
    int64.
    """

    def __init__(self, features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.labels = torch.from_numpy(np.array(labels)).to(self.device)
        self._mapped = features
        self._resident = None if self.device.type == "cpu" else torch.from_numpy(np.array(features)).to(self.device)

    def __len__(self) -> int:
        return len(self._mapped)

    @property
    def mels(self) -> int:
        """Bands of a clip."""
        return int(self._mapped.shape[1])

    def __getitem__(self, row: int) -> Batch:
        """One clip: (mels, frames) float32, and its label, () int64."""
        features, labels = self.__getitems__([row])
        return features[0], labels[0]

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """A batch in one gather: (batch, mels, frames) float32, and (batch,) int64."""
        index = torch.tensor(rows, dtype=torch.int64, device=self.device)
        if self._resident is None:
            return torch.from_numpy(self._mapped[rows]), self.labels[index]
        return self._resident[index], self.labels[index]


def open_dataset(folder: Path, device: str) -> SoundDataset:
    """The features (memory-mapped) and labels of a prepared folder."""
    features = np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False)
    return SoundDataset(features, np.load(folder / "labels.npy", allow_pickle=False), device)


class Split(NamedTuple):
    """Rows of the clips that train, of those that choose the best epoch (there may be none), and of those held out."""

    train: Rows
    validation: Rows
    held_out: Rows


class FoldData(NamedTuple):
    """What a fold trains and is measured on: the dataset, and a Split's rows of it."""

    dataset: SoundDataset
    train: Rows
    validation: Rows
    held_out: Rows


def split_rows(folder: Path, meta: Meta, fold: int, validation: str) -> Split:
    """The rows of fold index `fold` in meta.folds, ascending.

    `held_out`, the published protocol, validates on the held-out fold itself. `previous_fold` validates on the fold
    before it, cyclically, so that nothing is chosen by the fold that is reported. `none` trains on all other folds and
    validates on nothing. Raises UserError where that leaves no fold to train on, or no clip of some class.
    """
    if validation == "previous_fold" and len(meta.folds) < 3:
        raise UserError(
            "train.validation is previous_fold, which takes three folds or more, and the data has two: use none or "
            "held_out."
        )
    numbers = np.load(folder / "folds.npy", allow_pickle=False)
    held_out = numbers == meta.folds[fold]
    validating = {
        "held_out": held_out,
        "previous_fold": numbers == meta.folds[fold - 1],
        "none": np.zeros_like(held_out),
    }[validation]
    training = ~(held_out | validating)
    _check_classes(folder, meta, numbers, training)
    return Split(*(np.flatnonzero(mask) for mask in (training, validating, held_out)))


def _check_classes(folder: Path, meta: Meta, numbers: Rows, training: npt.NDArray[np.bool_]) -> None:
    """Whether each class has clips among those that train. numbers: (clips,), the dataset's own fold numbers."""
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    lacking = np.setdiff1d(labels, labels[training])
    if not len(lacking):
        return
    rows = np.flatnonzero(labels == lacking[0])
    left_out, where = ("folds " + " and ".join(map(str, np.unique(numbers[which]))) for which in (~training, rows))
    raise UserError(
        f"{folder} has {len(lacking)} of {len(meta.classes)} classes that no clip trains where {left_out} are kept "
        f"from training, the first is label {lacking[0]} ({meta.classes[lacking[0]]}): its {len(rows)} clips, from row "
        f"{rows[0]}, are all in {where}; spread each class over more folds, or choose another train.validation."
    )


def batches(dataset: SoundDataset, rows: Sequence[int], batch_size: int) -> Iterator[Batch]:
    """The given rows in their order, `batch_size` at a time, the last batch smaller."""
    # DataLoader draws a seed for worker processes even where it has none: from this generator, not from dropout's.
    generator = torch.Generator().manual_seed(0)
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_size, sampler=rows, collate_fn=_as_gathered, generator=generator
    )
    return iter(loader)


def _as_gathered(batch: Any) -> Batch:
    return cast(Batch, batch)  # __getitems__ has made the batch already
