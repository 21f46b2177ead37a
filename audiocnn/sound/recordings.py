"""A folder's recordings as clips to learn from: labels from 0 without gaps, whole numbers for folds."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from audiocnn.config.class_names import check_class_names
from audiocnn.errors import UserError
from audiocnn.sound.columns import is_whole
from audiocnn.sound.layouts import SPLITS, Entry, Listing
from audiocnn.text import displayed

_NUMBERED_FOLD = re.compile(r"(?:fold[ _-]?)?([-+]?\d{1,15})(?:\.0*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Clip:
    """One clip: its file below the audio folder, label (0..classes-1), fold number, and group ("": none)."""

    file: str
    label: int
    fold: int
    group: str = ""


@dataclass(frozen=True)
class AudioFolder:
    """The clips in the order in which they are listed, and by label the class names and the table's own labels.

    fold_names: by fold number, where folds are called by text. made_folds: how folds were made, "" where they are
    given. has_folds: whether there are any. groups: what must stay together, in words.
    """

    clips: list[Clip]
    classes: list[str]
    csv_labels: list[int]
    fold_names: dict[int, str] = field(default_factory=dict)
    made_folds: str = ""
    has_folds: bool = True
    groups: str = ""


def read_clips(listing: Listing) -> AudioFolder:
    """What is listed, with labels and folds numbered.

    Labels become 0..classes-1 in the order of their numbers, or where they are text, of the alphabet. Folds keep their
    numbers (`fold1`, `1.0`); other text is numbered from 1, splits as train, validation, test. Raises UserError.
    """
    entries = listing.entries
    names = _numbered_classes(entries) if entries[0].label else _named_classes(entries)
    labels = {key: label for label, key in enumerate(names)}
    folds, fold_names = _folds(entries)
    clips = [
        Clip(entry.file, labels[_key(entry)], fold, entry.group) for entry, fold in zip(entries, folds, strict=True)
    ]
    csv_labels = [key if isinstance(key, int) else label for key, label in labels.items()]
    has_folds = bool(entries[0].fold)
    return AudioFolder(clips, list(names.values()), csv_labels, fold_names, "", has_folds, listing.groups)


def without_missing(listing: Listing) -> Listing:
    """The same without the clips whose files are missing. Raises UserError where none is left."""
    missing = set(listing.missing)
    left = [entry for entry in listing.entries if entry.file not in missing]
    if not left:
        raise UserError(missing_files(listing))
    return replace(listing, entries=left, missing=[])


def missing_files(listing: Listing) -> str:
    """A sentence on how many listed files are missing, ten of them by name."""
    named = displayed(", ".join(listing.missing[:10]))
    more = ", ..." if len(listing.missing) > 10 else ""
    return (
        f"{len(listing.missing)} of {len(listing.entries)} listed files are missing ({named}{more}): name the folder "
        "that holds them as AUDIO_DIR, or leave them out with --skip-bad."
    )


def _key(entry: Entry) -> int | str:
    return int(float(entry.label)) if entry.label else entry.class_name


def _named_classes(entries: Sequence[Entry]) -> dict[int | str, str]:
    names = {entry.class_name: entry.class_name for entry in entries}
    _check_names(entries)
    return {name: name for name in sorted(names)}


def _numbered_classes(entries: Sequence[Entry]) -> dict[int | str, str]:
    """The class names by the table's own label, in its order. Raises UserError where they are not one to one."""
    names: dict[int | str, str] = {}
    for entry in entries:
        if not is_whole(entry.label):
            raise UserError(f"{entry.where}: its label is {entry.label!r}, expected a whole number.")
        label = _key(entry)
        name = entry.class_name or str(label)
        if names.setdefault(label, name) != name:
            raise UserError(
                f"{entry.where}: label {label} is named {name!r} here and {names[label]!r} before: expected one name "
                "for a label."
            )
    if entries[0].class_name:
        _check_names(entries)
    return {label: names[label] for label in sorted(names, key=int)}


def _check_names(entries: Sequence[Entry]) -> None:
    """Raises UserError where a name may not be one, or two are one but for their spelling or their label."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        name = entry.class_name
        check_class_names([name], displayed(entry.where))
        first = seen.setdefault(_spelling(name), entry)
        if first.class_name != name:
            raise UserError(
                f"{displayed(entry.where)}: the class {name!r} is written {first.class_name!r} in "
                f"{displayed(first.where)}: expected one spelling for a class."
            )
        if first.label and _key(first) != _key(entry):
            raise UserError(
                f"{entry.where}: the class {name!r} has label {entry.label} here and {first.label} in {first.where}: "
                "expected one label for a class."
            )


def _spelling(name: str) -> str:
    """What two spellings of a name share: case, spaces, hyphens, underscores and ways to encode a letter aside."""
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name).casefold()).strip()


def _folds(entries: Sequence[Entry]) -> tuple[list[int], dict[int, str]]:
    """A number for each entry's fold, 0 where none is given, and by number the names of folds that had no number."""
    texts = [entry.fold for entry in entries]
    if not any(texts):
        return [0] * len(texts), {}
    numbers = [_NUMBERED_FOLD.fullmatch(text) for text in texts]
    if all(numbers):
        return [int(match[1]) for match in numbers if match], {}
    names = sorted(set(texts), key=lambda text: (_split_order(text), text))
    by_name = {name: number for number, name in enumerate(names, start=1)}
    return [by_name[text] for text in texts], {number: name for name, number in by_name.items()}


def _split_order(name: str) -> int:
    return SPLITS.index(name.lower()) if name.lower() in SPLITS else len(SPLITS)
