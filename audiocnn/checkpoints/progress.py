"""progress.json: where a fold is inside its current epoch, for those who watch it train; and history.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from audiocnn.checkpoints.folder import PROGRESS

HISTORY = "history.json"  # of a fold that trains for another machine


class FoldProgress(TypedDict):
    """progress.json. best_accuracy: -1 before there is one. time: when it was written, in seconds since 1970."""

    epoch: int
    batch: int
    batches: int
    best_accuracy: float
    seconds_per_epoch: float
    time: float


def write_progress(folder: Path, progress: FoldProgress) -> None:
    """Tells whoever watches where a fold is. Not durable: nothing depends on it."""
    temporary = folder / f".{PROGRESS}.tmp"
    temporary.write_text(json.dumps(progress))
    temporary.replace(folder / PROGRESS)


def write_history(folder: Path, history: Mapping[str, Sequence[float]]) -> None:
    """Leaves the metrics of all epochs so far, by the history's names, as history.json. Not durable either."""
    temporary = folder / f".{HISTORY}.tmp"
    temporary.write_text(json.dumps(history))
    temporary.replace(folder / HISTORY)


def read_progress(folder: Path) -> FoldProgress | None:
    """What write_progress wrote last, or None where there is nothing of its form."""
    try:
        progress = json.loads((folder / PROGRESS).read_bytes())
    except (OSError, ValueError):
        return None
    names = FoldProgress.__annotations__
    if not isinstance(progress, dict) or any(type(progress.get(name)) not in (int, float) for name in names):
        return None
    return cast(FoldProgress, progress)
