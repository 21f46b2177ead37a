"""Folds: made where none are given, balanced by class and whole by group, and checked before anything is decoded."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from audiocnn.errors import UserError
from audiocnn.sound.layouts import SPLITS
from audiocnn.sound.recordings import AudioFolder, Clip
from audiocnn.text import displayed

_ADVICE = "have them made with --folds 5, and --group-by where clips share a speaker or a source recording"


def with_folds(dataset: AudioFolder, count: int, seed: int) -> AudioFolder:
    """The same clips in `count` folds, numbered from 1, by scikit-learn's StratifiedGroupKFold.

    A clip without a group is one of its own; where all are, StratifiedKFold gives as good folds in seconds. The same
    files give the same folds, in whatever order they are listed.
    Raises UserError where there are fewer groups than folds.
    """
    order = sorted(range(len(dataset.clips)), key=lambda row: dataset.clips[row].file)
    clips = [dataset.clips[row] for row in order]
    groups = [f"group {clip.group}" if clip.group else f"file {clip.file}" for clip in clips]
    if count > len(set(groups)):
        kept = f" by {displayed(dataset.groups)}" if dataset.groups else ""
        raise UserError(f"--folds is {count}, but there are {len(set(groups))} groups{kept}: make fewer folds.")
    folds = dict(zip(order, _assigned([clip.label for clip in clips], groups, count, seed), strict=True))
    made = f"made by {_splitter(groups)}, seed {seed}" + (f", groups by {dataset.groups}" if dataset.groups else "")
    placed = [replace(clip, fold=folds[row]) for row, clip in enumerate(dataset.clips)]
    return replace(dataset, clips=placed, fold_names={}, made_folds=made, has_folds=True)


def _splitter(groups: Sequence[str]) -> str:
    """StratifiedGroupKFold looks at each group for itself, which takes minutes for 100,000 clips that are alone."""
    return "StratifiedGroupKFold" if len(set(groups)) < len(groups) else "StratifiedKFold"


def _assigned(labels: Sequence[int], groups: Sequence[str], count: int, seed: int) -> list[int]:
    """A fold from 1 to `count` for each clip."""
    from sklearn import model_selection

    splitter = getattr(model_selection, _splitter(groups))
    folds = np.zeros(len(labels), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a class has fewer clips than folds: check_folds says what matters of it
        try:
            splits = splitter(count, shuffle=True, random_state=seed).split(labels, labels, groups)
            for fold, (_, held_out) in enumerate(splits, start=1):
                folds[held_out] = fold
        except ValueError:
            raise UserError(f"--folds is {count}, but each class has fewer clips: make fewer folds.") from None
    numbers: list[int] = folds.tolist()
    return numbers


def check_folds(dataset: AudioFolder) -> None:
    """Raises UserError where training would lack something: a second class, a second fold, a class in a split."""
    if len(dataset.classes) < 2:
        raise UserError(f"all clips are of one class, {displayed(dataset.classes[0])}: expected two to tell apart.")
    if not dataset.has_folds:
        raise UserError(f"no folds are given: {_ADVICE}.")
    folds: dict[int, set[int]] = defaultdict(set)
    for clip in dataset.clips:
        folds[clip.label].add(clip.fold)
    if len({clip.fold for clip in dataset.clips}) < 2:
        raise UserError(f"all clips are in fold {_name(dataset, dataset.clips[0].fold)}: {_ADVICE}.")
    lacking = [label for label in range(len(dataset.classes)) if len(folds[label]) < 2]
    if lacking:
        raise UserError(_of_one_fold(dataset, lacking, folds))


def _of_one_fold(dataset: AudioFolder, lacking: Sequence[int], folds: dict[int, set[int]]) -> str:
    label = lacking[0]
    clips = [clip for clip in dataset.clips if clip.label == label]
    where = f"its {len(clips)} clips are all in fold {_name(dataset, min(folds[label]))}"
    if len({clip.group or clip.file for clip in clips}) < 2 and clips[0].group:
        where = f"its {len(clips)} clips are one group, {displayed(clips[0].group)}"
    return (
        f"{len(lacking)} of {len(dataset.classes)} classes would be missing where their fold is held out, the first "
        f"is {displayed(dataset.classes[label])}, {where}: spread each class over two folds, or leave it out."
    )


def _name(dataset: AudioFolder, fold: int) -> str:
    return displayed(dataset.fold_names.get(fold, str(fold)))


def held_out(dataset: AudioFolder, clips: Sequence[Clip]) -> list[int]:
    """The indices that `folds` in params.yaml is to list: all, or of train, validation and test the last one."""
    numbers = sorted({clip.fold for clip in clips})
    names = [dataset.fold_names.get(number, "").lower() for number in numbers]
    indices = list(range(len(numbers)))
    return indices[-1:] if all(name in SPLITS for name in names) else indices
