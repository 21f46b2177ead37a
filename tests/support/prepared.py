"""Prepared data that is made up: what `prepare` would write, in a moment and with the same bytes every time."""

from pathlib import Path
from typing import Any

import numpy as np

from audiocnn.data.prepared import ARRAYS, META, Meta
from audiocnn.files import sha256_of_file, write_json

CLASSES = ["dog bark", "engine, idling", "siren"]
_RECIPE = {"rate": 8000, "seconds": 1.0, "n_fft": 512, "hop_length": 500, "n_mels": 12}  # of write_noise

Array = np.ndarray[Any, Any]


def write_prepared(folder: Path, clips: int = 60, folds: int = 3, frames: int = 16) -> Meta:
    """Data to train on: (clips, 8, frames) noise around a level that only just tells the classes apart.

    Crops need more than 16 frames: fewer are too few for the network.
    """
    generator = np.random.default_rng(0)
    labels = np.arange(clips) % len(CLASSES)
    levels = np.linspace(-0.5, 0.5, 8)[None, :, None] * (labels[:, None, None] - 1)
    features = generator.normal(size=(clips, 8, frames)) + levels
    return _write(folder, features, labels, 1 + generator.permutation(clips) % folds, CLASSES, None)


def write_noise(folder: Path, classes: list[str], labels: Array, folds: int, recipe: bool = True) -> Meta:
    """Data to look at: (clips, 12, 16) noise in dB, as many clips in each fold."""
    features = np.random.default_rng(0).uniform(-80, 0, size=(len(labels), 12, 16))
    numbers = 1 + np.arange(len(labels)) * folds // len(labels)
    return _write(folder, features, labels, numbers, classes, _RECIPE if recipe else None)


def _write(
    folder: Path, features: Array, labels: Array, folds: Array, classes: list[str], recipe: dict[str, Any] | None
) -> Meta:
    """The three arrays and their description."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in {"features": features.astype(np.float32), "labels": labels, "folds": folds}.items():
        np.save(folder / f"{name}.npy", array)
    clips, mels, frames = features.shape
    meta = Meta(
        source="demo",
        classes=classes,
        clips=clips,
        mels=mels,
        frames=frames,
        folds=list(range(1, int(folds.max()) + 1)),
        digests={name: sha256_of_file(folder / f"{name}.npy") for name in ARRAYS},
        recipe=recipe,
    )
    write_json(folder / META, meta.model_dump())
    return meta
