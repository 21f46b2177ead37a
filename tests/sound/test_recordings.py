"""Tables that list recordings: what is taken for a file, a class and a fold, and what is refused, with the line."""

from pathlib import Path

import pytest

from audiocnn.errors import UserError
from audiocnn.sound.columns import ColumnNames
from audiocnn.sound.layouts import Choices, list_clips
from audiocnn.sound.recordings import AudioFolder, Clip, read_clips
from tests.support.paths import SHARED


def read(folder: Path, text: str | bytes, **columns: str) -> AudioFolder:
    """The clips of a table. Files need not be there."""
    content = text.encode() if isinstance(text, str) else text
    (folder / "mine.csv").write_bytes(content)
    choices = Choices(metadata=folder / "mine.csv", columns=ColumnNames(**columns))
    return read_clips(list_clips(folder, choices))


def refusal(folder: Path, text: str | bytes, **columns: str) -> str:
    with pytest.raises(UserError) as error:
        read(folder, text, **columns)
    assert str(error.value).isprintable()
    return str(error.value)


@pytest.mark.skipif(not (SHARED / "audio/esc10").is_dir(), reason="the audio of ESC-10 is not here")
def test_the_real_esc10_has_400_clips_in_five_folds() -> None:
    folder = read_clips(list_clips(SHARED / "audio/esc10", Choices()))
    assert len(folder.clips) == 400
    assert {clip.fold for clip in folder.clips} == {1, 2, 3, 4, 5}
    assert (folder.classes[0], folder.classes[9]) == ("dog_bark", "fire_crackling")


def test_numbered_labels_keep_their_order_and_are_numbered_anew(tmp_path: Path) -> None:
    folder = read(tmp_path, "filename,fold,target,category\na.wav,1,38,drops\nb.wav,2,0,dog\nc.wav,3,12,fire\n")
    assert folder.clips == [Clip("a.wav", 2, 1), Clip("b.wav", 0, 2), Clip("c.wav", 1, 3)]
    assert (folder.classes, folder.csv_labels) == (["dog", "fire", "drops"], [0, 12, 38])


def test_any_table_will_do_with_its_columns_named(tmp_path: Path) -> None:
    text = "\ufeffclip,part,kind\nx/b.flac,2,whale\na.mp3,1,bat\n"
    folder = read(tmp_path, text, file="clip", fold="part", class_name="kind")
    assert folder.clips == [Clip("x/b.flac", 1, 2), Clip("a.mp3", 0, 1)]
    assert folder.classes == ["bat", "whale"]


def test_columns_without_names_are_named_by_their_numbers(tmp_path: Path) -> None:
    folder = read(tmp_path, "1,a.wav,bat\n2,b.wav,whale\n", fold="1", class_name="3")
    assert folder.clips == [Clip("a.wav", 0, 1), Clip("b.wav", 1, 2)]


def test_text_in_the_label_column_is_class_names(tmp_path: Path) -> None:
    for columns in ({}, {"label": "Label"}, {"class_name": "Label"}):
        assert read(tmp_path, "FileName,Label,Fold\na.wav,owl,1\nb.wav,bat,1\n", **columns).classes == ["bat", "owl"]


def test_classes_without_names_are_named_by_their_labels(tmp_path: Path) -> None:
    assert read(tmp_path, "filename,fold,label\na.wav,1,7\nb.wav,1,-2\n").classes == ["-2", "7"]


@pytest.mark.parametrize(
    ("written", "numbers", "names"),
    [
        (("1", "10", "2"), [1, 10, 2], {}),
        (("fold1", "fold2", "Fold_3"), [1, 2, 3], {}),
        (("1.0", "2.0", "2.0"), [1, 2, 2], {}),
        (("-1", "0", "1"), [-1, 0, 1], {}),
        (("b", "a", "b"), [2, 1, 2], {1: "a", 2: "b"}),
        (("test", "train", "validation"), [3, 1, 2], {1: "train", 2: "validation", 3: "test"}),
        (("1", "2", "extra"), [1, 2, 3], {1: "1", 2: "2", 3: "extra"}),
    ],
)
def test_folds_are_taken_in_whatever_form(
    tmp_path: Path, written: tuple[str, ...], numbers: list[int], names: dict[int, str]
) -> None:
    lines = "".join(f"{index}.wav,{fold},bat\n" for index, fold in enumerate(written))
    folder = read(tmp_path, f"filename,fold,class\n{lines}")
    assert [clip.fold for clip in folder.clips] == numbers
    assert folder.fold_names == names


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "lists no clips"),
        ("filename,fold,label\n", "lists no clips"),
        (
            "clip,fold,label\na,1,0\n",
            "names no sound files in a column that is called as usual, its columns are clip, ",
        ),
        ("filename,fold\na.wav,0\n", "no column of labels or class names that is called as usual"),
        (
            "filename,path,label\na.wav,b.wav,0\n",
            "filename and path may both be the file: name the right one with",
        ),
        ("filename,label,target\na.wav,0,1\n", "label and target may both be the label"),
        ("filename,class,category\na.wav,x,y\n", "class and category may both be the class"),
        ("filename,fold,split,class\na.wav,1,2,y\n", "fold and split may both be the fold"),
        ("1,a.wav,2,bat\n", "its columns 1 and 3 may both be the label"),
        ("filename,fold,label\na.wav,1\n", "line 2: it has 2 cells and the table 3 columns"),
        (
            "filename,fold,label\na.wav,1,0,3\n",
            "line 2: it has 4 cells and the table 3 columns (filename, fold, label)",
        ),
        ("filename,fold,label\n../a.wav,1,0\n", "line 2: the file '../a.wav' is not inside the folder"),
        ("filename,fold,label\nx/../../a.wav,1,0\n", "is not inside the folder"),
        ("filename,fold,label\n/etc/passwd,1,0\n", "'/etc/passwd' is not inside the folder"),
        ("filename,fold,label\nC:\\a.wav,1,0\n", "is not inside the folder"),
        ("filename,fold,label\n..\\a.wav,1,0\n", "is not inside the folder"),
        ("filename,fold,label\n,1,0\n", "the file '' is not inside the folder"),
        ("filename,fold,label\na.wav,1,0\nb.wav,1,1\na.wav,2,0\n", "line 4: 'a.wav' is listed in line 2 already"),
        ("filename,fold,label\na/b.wav,1,0\na\\b.wav,2,0\n", "line 3: 'a/b.wav' is listed in line 2 already"),
        ("filename,fold,label,class\na.wav,1,0,x\nb.wav,1,0,y\n", "line 3: label 0 is named 'y' here and 'x' before"),
        ("filename,fold,label,class\na.wav,1,0,x\nb.wav,1,1,x\n", "line 3: the class 'x' has label 1 here and 0 in"),
        ("filename,class\na.wav,Dog bark\nb.wav,dog_bark\n", "line 3: the class 'dog_bark' is written 'Dog bark' in"),
        (
            "filename,class\na.wav,dog\nb.wav,\u001b[31mdog\n",
            "line 3 has a class called '\\x1b[31mdog'",
        ),
        ("filename,fold,class\na.wav,1,\n", "line 2: class is empty"),
        ("filename,fold,class\na.wav,,x\n", "line 2: fold is empty"),
        ('filename,fold,label\n"a.wav,1,0\n', "line 2: it is not a table with commas between its cells"),
        (bytes(range(256)), "is not a table of text, it holds NUL bytes"),
    ],
)
def test_a_table_that_cannot_be_followed_is_refused_in_one_sentence(
    tmp_path: Path, text: str | bytes, sentence: str
) -> None:
    assert sentence in refusal(tmp_path, text)


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    text = "filename,fold,label\na.wav,1,0\n"
    assert "has no column 'clip', its columns are filename, fold, label" in refusal(tmp_path, text, file="clip")
    assert "its label is 'x', expected a whole number" in refusal(
        tmp_path, "filename,label,class\na.wav,x,y\n", label="label", class_name="class"
    )


def test_a_table_that_is_missing_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv cannot be read .*: name the table that lists the clips"):
        list_clips(tmp_path, Choices(metadata=tmp_path / "none.csv"))
