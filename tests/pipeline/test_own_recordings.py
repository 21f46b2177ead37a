"""From a folder of somebody's own recordings to an answer on a voice that was not among them, as README tells it."""

from pathlib import Path

import pytest

pytest.importorskip("soxr")

from tests.support.clones import make_clone
from tests.support.recordings import rows_of, write_sounds
from tests.support.voices import ESPEAK, OTHER_VOICE, speak_all


def next_line(printed: str) -> str:
    """The line that trains, which stands alone below the one that announces it."""
    lines = printed.splitlines()
    return lines[lines.index("to train on them:") + 1]


@pytest.mark.slow
@pytest.mark.skipif(ESPEAK is None, reason="espeak-ng is not here: on Debian, apt-get install espeak-ng")
def test_three_voices_become_a_model_that_knows_words_of_a_fourth(tmp_path: Path) -> None:
    project = make_clone(tmp_path / "clone")
    project.set_params(train={"batch_size": 8, "lr": 0.003}, model={"encoder_channels": [8, 16, 16]})
    assert "words: 60 recordings" in project.run("python", "examples/spoken_words.py")
    options = ["--folds", "3", "--group-by", "^([a-z]+)_", "--seconds", "auto"]
    printed = project.run("audiocnn", "features", "words", "data/words", *options)
    rows = rows_of(printed)
    assert rows["classes"] == "5: forward 12, left 12, right 12, seven 12, stop 12"
    assert rows["folds"].endswith("clips in 1: 20, 2: 20, 3: 20")
    assert "groups in two folds: 0; pairs of clips in two folds: 0 of the same sound, 0 of nearly the same" in printed
    command = next_line(printed)
    assert command == "dvc exp run -S data.source=data/words -S 'folds=[0,1,2]'"

    results = project.run("bash", "-c", f"{command} -S train.epochs=40")
    assert "AudioCNN, 3 folds, dataset: folder" in results

    speak_all(project.path / "unseen", {"dora": OTHER_VOICE})
    answers = [row.split(",") for row in project.run("audiocnn", "predict", "unseen", "--csv").splitlines()]
    first_windows = [row for row in answers if row[0].startswith("unseen/") and row[1] == "0.0"]
    assert len(first_windows) == 20
    right = sum(row[4] == row[0].split("/")[1] for row in first_windows)
    assert right >= 10, answers  # of 20, where chance is 4


def test_the_printed_line_works_for_a_folder_with_any_name(tmp_path: Path) -> None:
    project = make_clone(tmp_path / "clone")
    write_sounds(project.path / "mine", [f"{word}/{take}.wav" for word in ("ja", "nein") for take in range(4)])
    name = "data/Anna's words, 2 (new)=x"
    printed = project.run("audiocnn", "features", "mine", name, "--folds", "2", "--seconds", "auto", "--rate", "8000")
    results = project.run("bash", "-c", f"{next_line(printed)} -S train.epochs=1")
    assert "AudioCNN, 2 folds, dataset: folder" in results
