"""The mistakes as the page shows them: with the recording behind each, and its sound where it is on this machine."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from audiocnn.config.params import Params
from audiocnn.data.prepared import Meta
from audiocnn.report.numbers import Confusion, CrossValidation, Mistake
from audiocnn.report.recordings import found_recordings, recording_names, recordings_folder

LISTED = 2000  # mistakes in the page's table, at most: each takes some 200 bytes of it
_SECONDS = 4.0  # of a sound in the page, where no recipe says how long clips are


class ShownMistake(NamedTuple):
    """A mistake and its recording. name: its file in the dataset's folder, or None. sound: a data: address, or None."""

    mistake: Mistake
    name: str | None
    sound: str | None


def shown_mistakes(
    mistakes: Sequence[Mistake], names: Sequence[str] | None, folder: Path | None, seconds: float, heard: int
) -> list[ShownMistake]:
    """The mistakes with their recordings, the first `heard` with their sound where `folder` has them.

    names: of all rows of the dataset. seconds: of each sound, at most.
    """
    if names is None:
        return [ShownMistake(mistake, None, None) for mistake in mistakes]
    files = [names[mistake.row] for mistake in mistakes]
    can_hear = folder is not None and all(find_spec(library) is not None for library in ("av", "soxr"))
    paths = found_recordings(folder if can_hear else None, files[:heard])
    sounds = [_sound(path, seconds) for path in paths] + [None] * (len(files) - len(paths))
    return [ShownMistake(*shown) for shown in zip(mistakes, files, sounds, strict=True)]


def names_and_folder(
    root: Path, crossval: CrossValidation, params: Params, meta: Meta | None
) -> tuple[list[str] | None, Path | None]:
    """The recordings' names by row of the dataset, and the folder that has them; None where that is not known."""
    names = None if meta is None else recording_names(root, crossval, meta.clips)
    return names, recordings_folder(root, params.data.source)


def clip_seconds(meta: Meta | None) -> float:
    """How long a clip is, by the dataset's recipe."""
    return float(meta.recipe["seconds"]) if meta and meta.recipe else _SECONDS


def confused_recordings(pair: Confusion, mistakes: Sequence[ShownMistake]) -> list[str]:
    """The recordings of one class that were taken for another, by name; none where names are not known."""
    wrong = [shown for shown in mistakes if (shown.mistake.actual, shown.mistake.predicted) == pair[:2]]
    return sorted(shown.name for shown in wrong if shown.name is not None)


def _sound(path: Path | None, seconds: float) -> str | None:
    from audiocnn.report.players import sound_url

    return None if path is None else sound_url(path, seconds)
