"""What was recognised in a folder of recordings, as one table, before anything is decoded."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from audiocnn.sound.layouts import Listing
from audiocnn.sound.lengths import Lengths
from audiocnn.sound.recordings import AudioFolder
from audiocnn.text import aligned

_WIDTH = 96  # of the second column
_MOST_CLASSES = 100
_MOST_FOLDS = 40
_NO_BREAK = "\u00a0"


def recognised(listing: Listing, dataset: AudioFolder, lengths: Lengths, seconds: float, proposed: float) -> str:
    """The table. seconds: what clips are padded or cut to. proposed: what --seconds auto would take."""
    rows = [
        ("layout", listing.name),
        ("read from", listing.details),
        *([("columns", listing.columns)] if listing.columns else []),
        ("clips", _clips(listing)),
        ("classes", _classes(dataset)),
        ("folds", _folds(dataset)),
        ("groups", _groups(dataset)),
        *_length_rows(lengths, seconds, proposed),
    ]
    return aligned([("recognised", ""), *(line for name, text in rows for line in _wrapped(name, text))], left=2)


def _wrapped(name: str, text: str) -> Iterator[tuple[str, str]]:
    """A row as one a line of the terminal, with its name before the first."""
    for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False) or [""]:
        yield name, line.replace(_NO_BREAK, " ")
        name = ""


def _clips(listing: Listing) -> str:
    missing = f", {len(listing.missing)} of them missing" if listing.missing else ""
    others = f"; {_files(listing.others)} not listed" if listing.others else ""
    return f"{len(listing.entries)}{missing}{others}"


def _files(count: int) -> str:
    return "1 sound file is" if count == 1 else f"{count} sound files are"


def _classes(dataset: AudioFolder) -> str:
    counts = Counter(clip.label for clip in dataset.clips)
    named = [f"{name} {counts[label]}" for label, name in enumerate(dataset.classes)]
    return f"{len(named)}: {_listed(named, _MOST_CLASSES)}"


def _folds(dataset: AudioFolder) -> str:
    if not dataset.has_folds:
        return "none given"
    counts = sorted(Counter(clip.fold for clip in dataset.clips).items())
    named = [f"{dataset.fold_names.get(fold, fold)}: {count}" for fold, count in counts]
    return f"{len(named)}, {dataset.made_folds or 'as given'}; clips in {_listed(named, _MOST_FOLDS)}"


def _groups(dataset: AudioFolder) -> str:
    if not dataset.groups:
        return "none known: clips of one speaker or recording may be in two folds"
    groups = {clip.group for clip in dataset.clips if clip.group}
    alone = sum(not clip.group for clip in dataset.clips)
    return f"{len(groups)}, by {dataset.groups}" + (f"; {alone} clips are in none" if alone else "")


def _listed(named: Sequence[str], most: int) -> str:
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return ", ".join(item.replace(" ", _NO_BREAK) for item in named[:most]) + more


def _length_rows(lengths: Lengths, seconds: float, proposed: float) -> list[tuple[str, str]]:
    unknown = f"; {lengths.unknown} unknown" if lengths.unknown else ""
    if not lengths.seconds:
        return [("lengths", f"none known{unknown}"), ("seconds", f"{seconds:g}")]
    shortest, longest = min(lengths.seconds), max(lengths.seconds)
    auto = "" if seconds == proposed else f" (--seconds auto: {proposed:g}, which covers 95 % of the clips)"
    longer, unused = lengths.cut(seconds)
    cut = f"{longer} longer clips are cut, {unused:.1%} of all sound is unused" if longer else "no clip is cut"
    return [
        ("lengths", f"{shortest:.2f} to {longest:.2f} s, by their headers{unknown}"),
        ("seconds", f"{seconds:g}{auto}"),
        ("padding", f"{lengths.padding(seconds):.1%} of the spectrograms is padding; {cut}"),
    ]
