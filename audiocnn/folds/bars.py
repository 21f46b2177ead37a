"""What a terminal shows while folds train: the workers' lines, and a bar for each fold that trains now."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from audiocnn.checkpoints.folder import fold_folder
from audiocnn.checkpoints.progress import FoldProgress, read_progress


class FoldBars:
    """Lines from the workers, and, on a terminal, a bar for each fold that trains now."""

    def __init__(self, root: Path, keys: Mapping[int, str], epochs: int) -> None:
        self._folders = {fold: fold_folder(root, fold, key) for fold, key in keys.items()}
        self._bars: dict[int, tqdm] = {}  # type: ignore[type-arg]
        self._cluster: tqdm | None = None  # type: ignore[type-arg]
        self._epochs = epochs
        self._start = time.time()

    def __enter__(self) -> "FoldBars":
        return self

    def __exit__(self, *exception: object) -> None:
        for bar in self._bars.values():
            bar.close()
        if self._cluster is not None:
            self._cluster.close()

    def say(self, lines: Sequence[str]) -> None:
        for line in lines:
            tqdm.write(line)

    def show_cluster(self, line: str) -> None:
        """The line on the cluster, on a terminal."""
        if self._cluster is None:
            self._cluster = tqdm(leave=False, disable=None, bar_format="{desc}")
        self._cluster.set_description_str(line)

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
