"""Folds that are made: whole groups, balanced classes, the same for the same files in any order; else a sentence."""

import random
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from audiocnn.errors import UserError
from audiocnn.sound.folds import check_folds, held_out, with_folds
from audiocnn.sound.groups import grouping
from audiocnn.sound.recordings import AudioFolder, Clip


def dataset(speakers: int = 10, takes: int = 6, classes: int = 3) -> AudioFolder:
    """Each speaker says each class's word several times."""
    clips = [
        Clip(f"{label}/{speaker}_{take}.wav", label, 0, f"speaker {speaker}")
        for label in range(classes)
        for speaker in range(speakers)
        for take in range(takes)
    ]
    names = [f"word {label}" for label in range(classes)]
    return AudioFolder(clips, names, list(range(classes)), has_folds=False, groups="speaker")


def folds_by_file(made: AudioFolder) -> dict[str, int]:
    return {clip.file: clip.fold for clip in made.clips}


def test_groups_stay_whole_and_classes_are_balanced() -> None:
    made = with_folds(dataset(), 5, 0)
    folds = defaultdict(set)
    for clip in made.clips:
        folds[clip.group].add(clip.fold)
    assert all(len(of_group) == 1 for of_group in folds.values())
    assert set(Counter((clip.label, clip.fold) for clip in made.clips).values()) == {12}
    assert {clip.fold for clip in made.clips} == {1, 2, 3, 4, 5}
    assert made.made_folds == "made by StratifiedGroupKFold, seed 0, groups by speaker"


@pytest.mark.parametrize("has_groups", [True, False])
def test_the_same_files_give_the_same_folds_in_any_order_and_another_seed_others(has_groups: bool) -> None:
    plain = dataset()
    if not has_groups:
        plain = replace(plain, clips=[replace(clip, group="") for clip in plain.clips])
    shuffled = replace(plain, clips=random.Random(1).sample(plain.clips, len(plain.clips)))
    made = with_folds(plain, 5, 3)
    assert folds_by_file(with_folds(shuffled, 5, 3)) == folds_by_file(made)
    assert [clip.file for clip in made.clips] == [clip.file for clip in plain.clips]
    assert folds_by_file(with_folds(plain, 5, 4)) != folds_by_file(made)


def test_what_folds_cannot_be_made_of_is_refused() -> None:
    with pytest.raises(UserError, match=r"--folds is 11, but there are 10 groups by speaker: make fewer folds\."):
        with_folds(dataset(), 11, 0)
    with pytest.raises(UserError, match="--folds is 9, but each class has fewer clips"):
        with_folds(AudioFolder([Clip(f"{n}.wav", n % 2, 0) for n in range(10)], ["a", "b"], [0, 1]), 9, 0)
    one_speaker_a_class = [replace(clip, group=f"speaker {clip.label}") for clip in dataset().clips]
    made = with_folds(replace(dataset(), clips=one_speaker_a_class), 3, 0)
    with pytest.raises(UserError, match=r"3 of 3 classes .* the first is word 0, its 60 clips are one group, sp"):
        check_folds(made)
    with pytest.raises(UserError, match="all clips are of one class, word 0"):
        check_folds(dataset(classes=1))


def test_of_splits_the_last_one_is_held_out_and_of_folds_each() -> None:
    clips = [Clip("a.wav", 0, 1), Clip("b.wav", 0, 2), Clip("c.wav", 0, 3)]
    splits = AudioFolder(clips, ["a"], [0], {1: "train", 2: "validation", 3: "test"})
    assert held_out(splits, clips) == [2]
    assert held_out(replace(splits, fold_names={}), clips) == [0, 1, 2]


@pytest.mark.parametrize(
    ("group_by", "group"),
    [("speaker", "anna"), ("folder", "kitchen"), (r"^(\d+)-", "100"), (r"\d\d\d-[A-Z]", "100-B"), (None, "")],
)
def test_a_group_is_a_column_a_folder_or_a_part_of_the_file_name(group_by: str | None, group: str) -> None:
    group_of = grouping(group_by, ["file", "speaker"])
    assert group_of("dogs/kitchen/100-B.wav", ["100-B.wav", "anna"]) == group


def test_a_regular_expression_that_is_none_or_does_not_match_is_refused() -> None:
    with pytest.raises(UserError, match="--group-by is '\\(', which is no regular expression"):
        grouping("(", [])
    with pytest.raises(UserError, match=r"'spkr' does not match the file name 'a\.wav', and no column is called so"):
        grouping("spkr", ["file", "speaker"])("dogs/a.wav", ["a.wav", "anna"])
