"""The card of a dataset repository: metadata that the Hub reads, and tables that show what a CSV holds as it is."""

import re
from typing import Any

import pytest
import yaml

from audiocnn.sound.dataset_card import dataset_card
from audiocnn.sound.recipe import Recipe
from audiocnn.sound.recordings import AudioFolder, Clip

CLASSES = ["siren", "a | b <img src=x> **c**"]
CLIPS = [Clip(f"{number}.wav", label=number % 2, fold=3 + number % 3) for number in range(12)]


def card(clips: list[Clip] = CLIPS, **changed: Any) -> str:
    dataset = AudioFolder(clips, CLASSES, [0, 1], **changed)
    return dataset_card("owner/chirps", clips, dataset, Recipe(libraries={"numpy": "2.3.0"}), [])


@pytest.mark.parametrize(("times", "size"), [(1, "n<1K"), (100, "1K<n<10K"), (1000, "10K<n<100K")])
def test_the_front_matter_is_what_the_hub_reads(times: int, size: str) -> None:
    _, front_matter, _ = card(CLIPS * times).split("---\n", 2)
    assert yaml.safe_load(front_matter) == {
        "pretty_name": "chirps",
        "task_categories": ["audio-classification"],
        "size_categories": [size],
        "tags": ["audio", "mel-spectrogram", "audiocnn"],
    }


def test_it_says_how_to_train_on_it() -> None:
    _, _, rest = card().partition("```yaml\n")
    params = yaml.safe_load(rest.partition("```")[0])
    assert params == {"folds": [0, 1, 2], "data": {"source": "hf://datasets/owner/chirps@main"}}
    assert "rate 22050" in card()
    assert "made with numpy 2.3.0." in card()


def test_clips_are_counted_by_class_and_fold_and_a_class_name_is_text_and_nothing_else() -> None:
    lines = card().splitlines()
    start = lines.index("| label | class | fold 3 | fold 4 | fold 5 |")
    sides, first, second = lines[start + 1 : start + 4]
    assert (sides, first) == ("|---|---|---:|---:|---:|", "| 0 | siren | 2 | 2 | 2 |")
    cells = re.split(r"(?<!\\)\|", second)
    assert cells == ["", " 1 ", r" a \| b \<img src=x\> \*\*c\*\* ", " 2 ", " 2 ", " 2 ", ""]


def test_it_says_where_folds_come_from_and_what_stays_together() -> None:
    assert "Folds: as given. Groups that must stay together: none known." in card()
    text = card(made_folds="made by StratifiedGroupKFold, seed 0", groups="speaker")
    assert "Folds: made by StratifiedGroupKFold, seed 0. Groups that must stay together: speaker." in text


def test_of_train_validation_and_test_only_the_test_clips_are_to_be_held_out() -> None:
    text = card(fold_names={3: "train", 4: "validation", 5: "test"})
    assert "Folds: as given (3 is train, 4 is validation, 5 is test)." in text
    assert "folds: [2]\n" in text
