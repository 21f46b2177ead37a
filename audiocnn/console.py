"""What a person sees while folds train: a line an epoch, and a bar for each fold that is under way."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from tqdm import tqdm

from audiocnn.checkpoint import fold_folder

_PROGRESS = "progress.json"


class FoldProgress(TypedDict):
    """progress.json: where a fold is inside its current epoch. time is in seconds since 1970."""

    epoch: int
    batch: int
    batches: int
    best_accuracy: float
    seconds_per_epoch: float
    time: float


def write_progress(folder: Path, progress: FoldProgress) -> None:
    """Tells whoever watches where a fold is. Not durable: nothing depends on it."""
    temporary = folder / f".{_PROGRESS}.tmp"
    temporary.write_text(json.dumps(progress))
    temporary.replace(folder / _PROGRESS)


def read_progress(folder: Path) -> FoldProgress | None:
    """What write_progress wrote last, or None."""
    try:
        progress: FoldProgress = json.loads((folder / _PROGRESS).read_text())
    except (OSError, ValueError):
        return None
    return progress


class FoldBars:
    """Lines from the workers, and, on a terminal, a bar for each fold that trains now."""

    def __init__(self, root: Path, keys: Mapping[int, str], epochs: int) -> None:
        self._folders = {fold: fold_folder(root, fold, key) for fold, key in keys.items()}
        self._bars: dict[int, tqdm] = {}  # type: ignore[type-arg]
        self._epochs = epochs
        self._start = time.time()

    def __enter__(self) -> "FoldBars":
        return self

    def __exit__(self, *exception: object) -> None:
        for bar in self._bars.values():
            bar.close()

    def say(self, lines: Sequence[str]) -> None:
        for line in lines:
            tqdm.write(line)

    def update(self) -> None:
        for fold, folder in self._folders.items():
            progress = read_progress(folder)
            if progress is not None and progress["time"] > self._start:
                self._show(fold, progress)

    def _show(self, fold: int, progress: FoldProgress) -> None:
        if fold not in self._bars:
            self._bars[fold] = tqdm(leave=False, disable=None, unit="batch", bar_format="{desc} |{bar}| {n}/{total}")
        bar = self._bars[fold]
        bar.total, bar.n = progress["batches"], progress["batch"]
        bar.set_description_str(f"fold {fold} epoch {progress['epoch']} of at most {self._epochs}")
