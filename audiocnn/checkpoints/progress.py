"""progress.json: where a fold is inside its current epoch, for those who watch it train; and history.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from audiocnn.checkpoints.folder import PROGRESS
from audiocnn.config.settings import parse_json

_LARGEST = 1e12  # seconds since 1970, 30,000 years of them

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
    temporary.unlink(missing_ok=True)
    with temporary.open("x") as file:  # never through a link that somebody put there
        file.write(json.dumps(progress))
    temporary.replace(folder / PROGRESS)


def write_history(folder: Path, history: Mapping[str, Sequence[float]]) -> None:
    """Leaves the metrics of all epochs so far, by the history's names, as history.json. Not durable either."""
    temporary = folder / f".{HISTORY}.tmp"
    temporary.write_text(json.dumps(history))
    temporary.replace(folder / HISTORY)


def read_progress(folder: Path) -> FoldProgress | None:
    """What write_progress wrote last, or None where there is nothing of its form."""
    try:
        progress = parse_json((folder / PROGRESS).read_bytes())
    except (OSError, ValueError):
        return None
    names = FoldProgress.__annotations__
    if not isinstance(progress, dict) or not all(_is_number(progress.get(name)) for name in names):
        return None
    return cast(FoldProgress, progress)


def _is_number(value: object) -> bool:
    """Whether a value is a number of a size that a progress can have; NaN is none."""
    return isinstance(value, int | float) and type(value) is not bool and abs(value) < _LARGEST
