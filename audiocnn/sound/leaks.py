"""Leaks: groups that stand in two folds, and the same or nearly the same sound in two folds. Whoever made the folds."""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from audiocnn.sound.fingerprints import fingerprint, likeness
from audiocnn.sound.leak_counts import LeakCounts
from audiocnn.sound.recordings import Clip
from audiocnn.text import aligned

ALIKE = 0.95
"""The likeness from which two clips are nearly the same sound; docs/leaks.md has what it is measured by."""
_CANDIDATES = 8  # clips of other folds that a clip is compared with: those with the nearest fingerprints
_NEAR = 0.4  # the least correlation of two fingerprints for that; planted copies have 0.5 and more
_BLOCK = 256  # clips whose fingerprints are compared with all others' at a time
_SHOWN = 10  # pairs in the printed table

Kind = Literal["group", "same", "similar"]
_Spectrograms = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Leak:
    """Two clips in two folds that belong together. likeness: see fingerprints; 1 for the same, 0 for a group."""

    kind: Kind
    first: Clip
    second: Clip
    likeness: float


def find_leaks(clips: Sequence[Clip], spectrograms: _Spectrograms) -> list[Leak]:
    """The leaks between the folds of clips: groups, then the same sounds, then similar ones, the likest first.

    spectrograms: (mels, frames) each, in dB below its maximum; each is read when it is needed. For a group, and for a
    sound that several clips are, there is one pair for each fold beside the first.
    """
    groups = [_leak("group", clips, pair, 0.0) for pair in _across_folds(clips, [clip.group for clip in clips])]
    digests = [hashlib.sha256(spectrogram.tobytes()).hexdigest() for spectrogram in spectrograms]
    same = [_leak("same", clips, pair, 1.0) for pair in _across_folds(clips, digests)]
    return [*groups, *same, *_similar(clips, spectrograms, digests)]


def _leak(kind: Kind, clips: Sequence[Clip], pair: tuple[int, int], like: float) -> Leak:
    return Leak(kind, clips[pair[0]], clips[pair[1]], like)


def _across_folds(clips: Sequence[Clip], keys: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Rows with one key in two folds: the key's first row, and the first in each other fold."""
    rows: dict[str, dict[int, int]] = defaultdict(dict)
    for row, (clip, key) in enumerate(zip(clips, keys, strict=True)):
        if key:
            rows[key].setdefault(clip.fold, row)
    for of_folds in rows.values():
        first, *others = of_folds.values()
        yield from ((first, other) for other in others)


def _similar(clips: Sequence[Clip], spectrograms: _Spectrograms, digests: Sequence[str]) -> list[Leak]:
    found = []
    pairs = _candidates(np.array([clip.fold for clip in clips]), spectrograms)
    for first, second in tqdm(pairs, desc="leaks", unit="pair", disable=None, leave=False, delay=2):
        if digests[first] != digests[second]:
            like = likeness(spectrograms[first], spectrograms[second])
            if like >= ALIKE:
                found.append(_leak("similar", clips, (first, second), like))
    return sorted(found, key=lambda leak: (-round(leak.likeness, 3), leak.first.file, leak.second.file))


def _candidates(folds: NDArray[np.int64], spectrograms: _Spectrograms) -> list[tuple[int, int]]:
    """Pairs of rows in two folds, the lower row first, that have near fingerprints."""
    bar = tqdm(spectrograms, desc="fingerprints", unit="clip", disable=None, leave=False, delay=2)
    prints = np.stack([fingerprint(spectrogram) for spectrogram in bar])
    prints -= prints.mean(axis=0)  # what all clips have in common tells none apart
    prints /= np.maximum(np.linalg.norm(prints, axis=1, keepdims=True), 1e-9)
    nearest = min(_CANDIDATES, len(prints))
    pairs: set[tuple[int, int]] = set()
    for start in tqdm(range(0, len(prints), _BLOCK), desc="candidates", disable=None, leave=False, delay=2):
        near = prints[start : start + _BLOCK] @ prints.T  # (block, clips)
        near[folds[start : start + _BLOCK, np.newaxis] == folds] = -np.inf
        least = np.partition(near, -nearest, axis=1)[:, -nearest, np.newaxis]
        rows, others = np.nonzero(near >= np.maximum(least, _NEAR))
        pairs |= {(min(pair), max(pair)) for pair in zip((rows + start).tolist(), others.tolist(), strict=True)}
    return sorted(pair for pair in pairs if folds[pair[0]] != folds[pair[1]])


def count_leaks(leaks: Sequence[Leak], clips: Sequence[Clip]) -> LeakCounts:
    """Their numbers: of groups, and of pairs of clips."""
    groups = {leak.first.group for leak in leaks if leak.kind == "group"}
    kinds = [leak.kind for leak in leaks]
    known = any(clip.group for clip in clips)
    return LeakCounts(groups=len(groups) if known else None, same=kinds.count("same"), similar=kinds.count("similar"))


def leak_table(leaks: Sequence[Leak], fold_names: Mapping[int, str]) -> str:
    """The first pairs, for a terminal."""
    rows = [("leak", "likeness", "fold", "file", "fold", "file")]
    for leak in leaks[:_SHOWN]:
        folds = [fold_names.get(clip.fold, str(clip.fold)) for clip in (leak.first, leak.second)]
        what = f"group {leak.first.group}" if leak.kind == "group" else leak.kind
        like = "" if leak.kind == "group" else f"{leak.likeness:.3f}"
        rows.append((what, like, folds[0], leak.first.file, folds[1], leak.second.file))
    return aligned(rows, left=len(rows[0]))


def leaks_csv(leaks: Sequence[Leak]) -> str:
    """All pairs, a line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["leak", "group", "likeness", "file", "fold", "other_file", "other_fold"])
    for leak in leaks:
        like = "" if leak.kind == "group" else f"{leak.likeness:.3f}"
        group = leak.first.group if leak.kind == "group" else ""
        writer.writerow([leak.kind, group, like, leak.first.file, leak.first.fold, leak.second.file, leak.second.fold])
    return text.getvalue()
