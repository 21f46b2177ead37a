"""What is shown while folds train: the workers' lines, and on a terminal a line for the whole run and a bar a fold.

Without a terminal a fold has an epoch's line once a minute, at most: a log of fifty epochs a fold hides what matters.
"""

import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from audiocnn.checkpoints.folder import FAILURE, fold_folder, result_names
from audiocnn.checkpoints.progress import FoldProgress, read_progress
from audiocnn.config.all_clips import ALL_CLIPS, fold_words
from audiocnn.text import duration

_EPOCH_LINE = re.compile(r"(all clips|fold \d+): epoch ")
_SECONDS = 60.0  # between two lines on the epochs of one fold, without a terminal; AUDIOCNN_LOG_SECONDS says otherwise


class FoldBars:
    """Lines from the workers, and, on a terminal, the run's line and a bar for each fold that trains now.

    keys: of the folds that are to train. done: how many of the run's folds were finished before. where: device and
    jobs, in words.
    """

    def __init__(
        self, root: Path, keys: Mapping[int, str], epochs: int, done: int = 0, where: Sequence[str] = ()
    ) -> None:
        self._folders = {fold: fold_folder(root, fold, key) for fold, key in keys.items()}
        self._epochs, self._done, self._where = epochs, done, where
        self._run = _bar()
        self._bars: dict[int, tqdm] = {}  # type: ignore[type-arg]
        self._cluster: tqdm | None = None  # type: ignore[type-arg]
        self._start = time.time()
        self._every = 0.0 if sys.stdout.isatty() else seconds_between_lines()
        self._said: dict[str, float] = {}

    def __enter__(self) -> "FoldBars":
        self.update()
        return self

    def __exit__(self, *exception: object) -> None:
        for bar in (*self._bars.values(), self._run):
            bar.close()
        if self._cluster is not None:
            self._cluster.close()

    def say(self, lines: Sequence[str]) -> None:
        """Prints the workers' lines, above the bars; without a terminal not every epoch's."""
        for line in lines:
            match = _EPOCH_LINE.match(line)
            if match is not None:
                now = time.monotonic()
                if now - self._said.get(match[1], -self._every) < self._every:
                    continue
                self._said[match[1]] = now
            tqdm.write(line)

    def wipe(self) -> None:
        """Takes away the ^C that a terminal shows behind the run's line."""
        if not self._run.disable:
            sys.stderr.write("\r\x1b[K")

    def show_cluster(self, line: str) -> None:
        """The line on the cluster, on a terminal."""
        if self._cluster is None:
            self._cluster = tqdm(leave=False, disable=None, bar_format="{desc}")
        self._cluster.set_description_str(line)

    def update(self) -> None:
        """Brings the bars up to date."""
        if self._run.disable:
            return
        over = {fold for fold, folder in self._folders.items() if _is_over(fold, folder)}
        progress = {fold: read_progress(folder) for fold, folder in self._folders.items()}
        begun = {fold: found for fold, found in progress.items() if found is not None}
        training = {f: p for f, p in begun.items() if f not in over and p["time"] > self._start}
        for fold in self._bars.keys() - training.keys():
            self._bars.pop(fold).close()
        for fold, found in training.items():
            self._show_fold(fold, found)
        self._show_run(over, begun, training)

    def _show_fold(self, fold: int, progress: FoldProgress) -> None:
        if fold not in self._bars:
            self._bars[fold] = _bar()
        bar, best = self._bars[fold], progress["best_accuracy"]
        bar.total, bar.n = progress["batches"], progress["batch"]
        accuracy = f", best val_acc {best:.4f}" if best >= 0 else ""
        bar.set_description_str(f"{fold_words(fold)}: epoch {progress['epoch']} of at most {self._epochs}{accuracy}")

    def _show_run(
        self, over: set[int], begun: Mapping[int, FoldProgress], training: Mapping[int, FoldProgress]
    ) -> None:
        epochs = {fold: int(begun[fold]["epoch"]) if fold in begun else 0 for fold in self._folders}
        most = sum(epochs[fold] if fold in over else self._epochs for fold in self._folders)
        done = sum(epochs.values())
        paces = [found["seconds_per_epoch"] for found in training.values() if found["seconds_per_epoch"] > 0]
        # The mean pace, and as many folds side by side as now. An early stop makes it less.
        seconds = (most - done) * sum(paces) / len(paces) / len(training) if paces else None
        self._run.total, self._run.n = most, done
        folds = f"{self._done + len(over)} of {self._done + len(self._folders)} folds"
        words = [
            fold_words(ALL_CLIPS) if ALL_CLIPS in self._folders else folds,
            f"{done}/{most} epochs",
            *([] if seconds is None else [f"< {duration(seconds)} left"]),
            *self._where,
        ]
        self._run.set_description_str(", ".join(words))


def seconds_between_lines() -> float:
    """AUDIOCNN_LOG_SECONDS, or a minute where it is no number."""
    try:
        return float(os.environ["AUDIOCNN_LOG_SECONDS"])
    except (KeyError, ValueError):
        return _SECONDS


def _bar() -> tqdm:  # type: ignore[type-arg]
    """A line with a bar that fits the window, however wide that is now. Nothing without a terminal."""
    bar = tqdm(total=1, leave=False, disable=None, dynamic_ncols=True, bar_format="{desc} |{bar}|")
    if not bar.disable:
        bar.dynamic_ncols = _size_for_bars  # type: ignore[assignment]
    return bar


def _size_for_bars(stream: object) -> tuple[int, int]:
    """Columns and rows that bars may take: the last three columns are left for ^C, which would wrap the line."""
    columns, rows = os.get_terminal_size(sys.stderr.fileno())
    return max(columns - 3, 1), rows


def _is_over(fold: int, folder: Path) -> bool:
    """Whether a fold has its results, or has failed."""
    return (folder / result_names(fold)[1]).exists() or (folder / FAILURE).exists()
