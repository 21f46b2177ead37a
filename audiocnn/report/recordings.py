"""The recording behind each row of the dataset, where its source has a clips.csv, which nobody vouches for."""

import csv
from collections.abc import Sequence
from pathlib import Path

from audiocnn.config.data_params import CLIPS, source_kind
from audiocnn.config.outs import RAW
from audiocnn.report.numbers import CrossValidation
from audiocnn.sound.make_dataset import RECORDINGS

_MOST_BYTES = 200_000_000  # of clips.csv: a million rows and more


def recording_names(root: Path, crossval: CrossValidation, clips: int) -> list[str] | None:
    """The file of each of the `clips` rows in data/prepared; None where clips.csv is missing or of another dataset.

    The names are text from elsewhere: to be escaped where they are shown, and believed nowhere.
    """
    path = root / RAW / CLIPS
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(row["file"], int(row["label"])) for row in csv.DictReader(file)]
    except (OSError, csv.Error, KeyError, TypeError, ValueError):
        return None
    held_out = [pair for fold in crossval.folds for pair in zip(fold.rows.tolist(), fold.actual.tolist(), strict=True)]
    if len(rows) != clips or any(rows[row][1] != label for row, label in held_out):
        return None
    return [name for name, _ in rows]


def recordings_folder(root: Path, source: str) -> Path | None:
    """Where the recordings of a dataset are that `audiocnn features` made here; None where that is not known."""
    if source_kind(source) != "folder":
        return None
    folder = root / Path(source).expanduser()
    try:
        recordings = folder / (folder / RECORDINGS).read_text(encoding="utf-8").rstrip("\n")
        return recordings if recordings.is_dir() else None
    except (OSError, ValueError):
        return None


def found_recordings(folder: Path | None, names: Sequence[str]) -> list[Path | None]:
    """The file of each name below `folder`, links followed; None for what is not there, or leads out of it."""
    if folder is None:
        return [None] * len(names)
    whole = folder.resolve()
    return [_found(whole, name) for name in names]


def _found(folder: Path, name: str) -> Path | None:
    try:
        path = (folder / name).resolve()
        return path if path.is_relative_to(folder) and path.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None
