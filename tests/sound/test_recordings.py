"""A folder of sound files and its CSV become a list of clips, with labels from 0 without gaps."""

from dataclasses import replace
from pathlib import Path

import pytest

from audiocnn.errors import UserError
from audiocnn.sound.recordings import ESC50, OTHER, URBANSOUND8K, Clip, read_audio_folder, recognise
from tests.support.paths import SHARED


def write_csv(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_urbansound8k_is_recognised(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "metadata/UrbanSound8K.csv",
        "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
        "100032-3-0-0.wav,100032,0.0,0.317551,1,5,1,dog_bark\n"
        "100263-2-0-117.wav,100263,58.5,62.5,1,10,0,air_conditioner\n",
    )
    assert recognise(tmp_path) == URBANSOUND8K
    folder = read_audio_folder(tmp_path, URBANSOUND8K)
    assert folder.clips == [Clip("audio/fold5/100032-3-0-0.wav", 1, 5), Clip("audio/fold10/100263-2-0-117.wav", 0, 10)]
    assert folder.classes == ["air_conditioner", "dog_bark"]


def test_esc50_is_recognised_and_a_subset_of_its_classes_is_numbered_anew(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "meta/esc50.csv",
        "filename,fold,target,category\n1-a.wav,1,38,water_drops\n2-b.wav,2,0,dog\n3-c.wav,3,12,crackling_fire\n",
    )
    assert recognise(tmp_path) == ESC50
    folder = read_audio_folder(tmp_path, ESC50)
    assert folder.clips == [Clip("audio/1-a.wav", 2, 1), Clip("audio/2-b.wav", 0, 2), Clip("audio/3-c.wav", 1, 3)]
    assert folder.classes == ["dog", "crackling_fire", "water_drops"]
    assert folder.csv_labels == [0, 12, 38]


@pytest.mark.skipif(not (SHARED / "audio/esc10").is_dir(), reason="the audio of ESC-10 is not here")
def test_the_real_esc10_has_400_clips_in_five_folds() -> None:
    folder = read_audio_folder(SHARED / "audio/esc10", recognise(SHARED / "audio/esc10"))
    assert len(folder.clips) == 400
    assert {clip.fold for clip in folder.clips} == {1, 2, 3, 4, 5}
    assert (folder.classes[0], folder.classes[9]) == ("dog_bark", "fire_crackling")


def test_any_csv_will_do_with_its_columns_named(tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "mine.csv", "\ufeffpath,split,kind\nx/b.flac,2,whale\na.mp3,1,bat\n")
    layout = replace(OTHER, metadata=str(csv), file="path", fold="split", class_name="kind")
    folder = read_audio_folder(tmp_path, layout)
    assert folder.clips == [Clip("x/b.flac", 1, 2), Clip("a.mp3", 0, 1)]
    assert folder.classes == ["bat", "whale"]


def test_classes_without_names_are_named_by_their_labels(tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "mine.csv", "filename,fold,label\na.wav,1,7\nb.wav,1,-2\n")
    assert read_audio_folder(tmp_path, replace(OTHER, metadata=str(csv))).classes == ["-2", "7"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no column 'filename': its columns are none, so name the right one with --file-column"),
        ("filename,fold,label\n", "lists no clips"),
        ("file,fold,label\na.wav,1,0\n", "its columns are file, fold, label, so name the right one with --file-column"),
        ("filename,label\na.wav,0\n", "has no column 'fold'"),
        ("filename,fold\na.wav,0\n", "neither a column 'label' nor 'class'"),
        ("filename,fold,label\na.wav,one,0\n", "line 2: fold is 'one', expected a whole number"),
        ("filename,fold,label\na.wav,1\n", "line 2: label is '', expected a whole number"),
        ("filename,fold,label\n../a.wav,1,0\n", "line 2: the file '../a.wav' is not inside the folder"),
        ("filename,fold,label\nx/../../a.wav,1,0\n", "is not inside the folder"),
        ("filename,fold,label\n/etc/passwd,1,0\n", "'/etc/passwd' is not inside the folder"),
        ("filename,fold,label\n,1,0\n", "the file '' is not inside the folder"),
        ("filename,fold,label\na.wav,1,0\na.wav,2,0\n", "lists a.wav twice, in lines 2 and 3"),
        ("filename,fold,label,class\na.wav,1,0,x\nb.wav,1,0,y\n", "label 0 is named 'y' here and 'x' before"),
        ("filename,fold,label,class\na.wav,1,0,x\nb.wav,1,1,x\n", "gives one class name to several labels"),
        ("filename,fold,class\na.wav,1,\n", "line 2: class is empty"),
        ('filename,fold,label\n"a.wav,1,0\n', "is not a CSV in UTF-8"),
    ],
)
def test_a_csv_that_cannot_be_followed_is_refused_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    csv = write_csv(tmp_path / "mine.csv", text)
    with pytest.raises(UserError) as caught:
        read_audio_folder(tmp_path, replace(OTHER, metadata=str(csv)))
    assert sentence in str(caught.value)


def test_a_folder_of_no_known_layout_asks_for_its_csv(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name its CSV with --metadata FILE"):
        recognise(tmp_path)


def test_a_csv_that_is_missing_or_binary_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="is not a CSV in UTF-8"):
        read_audio_folder(tmp_path, replace(OTHER, metadata=str(tmp_path / "binary.csv")))
    with pytest.raises(UserError, match=r"none\.csv is not here"):
        read_audio_folder(tmp_path, replace(OTHER, metadata=str(tmp_path / "none.csv")))
