"""A folder of sound files and its metadata CSV, as a list of clips. The layouts of known datasets are recognised."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from audiocnn.errors import UserError


@dataclass(frozen=True)
class Layout:
    """Where a dataset keeps its metadata and clips, below its folder, and what its columns are called.

    clips: the folder of a clip, with the placeholder {fold}. seconds: the length of its clips.
    """

    name: str
    metadata: str
    clips: str
    file: str
    fold: str
    label: str
    class_name: str
    seconds: float


URBANSOUND8K = Layout(
    "UrbanSound8K", "metadata/UrbanSound8K.csv", "audio/fold{fold}", "slice_file_name", "fold", "classID", "class", 4.0
)
ESC50 = Layout("ESC-50", "meta/esc50.csv", "audio", "filename", "fold", "target", "category", 5.0)
OTHER = Layout("named columns", "", "", "filename", "fold", "label", "class", 4.0)


@dataclass(frozen=True)
class Clip:
    """One clip: its file below the audio folder, label (0..classes-1) and the dataset's own fold number."""

    file: str
    label: int
    fold: int


@dataclass(frozen=True)
class AudioFolder:
    """The clips in the CSV's order, and by label the class names and the labels that the CSV has for them."""

    clips: list[Clip]
    classes: list[str]
    csv_labels: list[int]


@dataclass(frozen=True)
class _Row:
    """A line of the CSV."""

    line: int
    file: str
    fold: int
    label: int
    class_name: str


def recognise(folder: Path) -> Layout:
    """The layout of a folder of audio. Raises UserError where it is not a known one."""
    for layout in (URBANSOUND8K, ESC50):
        if (folder / layout.metadata).is_file():
            return layout
    raise UserError(
        f"{folder} has neither {URBANSOUND8K.metadata} nor {ESC50.metadata}: name its CSV with --metadata FILE."
    )


def read_audio_folder(folder: Path, layout: Layout) -> AudioFolder:
    """The clips that a folder's CSV lists. Whether their files are there and can be read is not looked at.

    layout.metadata is relative to the folder, or absolute. Where the label column is missing, classes are numbered in
    alphabetical order; where the class column is, they are named by their labels. Labels become 0..classes-1, in their
    order. Raises UserError.
    """
    path = folder / layout.metadata
    rows = list(_rows(path, layout))
    if not rows:
        raise UserError(f"{path} lists no clips: expected one a line, after a line of column names.")
    _check_each_file_once(path, rows)
    names = _class_names(path, rows)
    labels = {csv_label: label for label, csv_label in enumerate(sorted(names))}
    return AudioFolder(
        clips=[Clip(row.file, labels[row.label], row.fold) for row in rows],
        classes=[names[csv_label] for csv_label in labels],
        csv_labels=list(labels),
    )


def _rows(path: Path, layout: Layout) -> Iterator[_Row]:
    lines = _read_csv(path, layout)
    numbers = {
        name: number for number, name in enumerate(sorted({line.get(layout.class_name) or "" for line in lines}))
    }
    for number, line in enumerate(lines, start=2):  # line 1 is the column names
        where = f"{path}, line {number}"
        fold = _integer(line, layout.fold, where)
        label = _integer(line, layout.label, where) if layout.label in line else numbers[line[layout.class_name]]
        class_name = line.get(layout.class_name, str(label))
        if not class_name:
            raise UserError(f"{where}: {layout.class_name} is empty, expected the name of a class.")
        yield _Row(number, _file(line[layout.file], layout.clips.format(fold=fold), where), fold, label, class_name)


def _read_csv(path: Path, layout: Layout) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="", strict=True)
            _check_columns(path, list(reader.fieldnames or []), layout)
            return list(reader)
    except FileNotFoundError:
        raise UserError(f"{path} is not here: name the CSV that lists the clips with --metadata FILE.") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a CSV in UTF-8: {error}.") from None


def _check_columns(path: Path, columns: list[str], layout: Layout) -> None:
    found = f"its columns are {', '.join(columns) or 'none'}"
    for option, column in (("--file-column", layout.file), ("--fold-column", layout.fold)):
        if column not in columns:
            raise UserError(f"{path} has no column {column!r}: {found}, so name the right one with {option}.")
    if layout.label not in columns and layout.class_name not in columns:
        raise UserError(
            f"{path} has neither a column {layout.label!r} nor {layout.class_name!r}: {found}, so name the one of "
            "labels with --label-column or that of class names with --class-column."
        )


def _integer(line: dict[str, str], column: str, where: str) -> int:
    try:
        return int(line[column])
    except ValueError:
        raise UserError(f"{where}: {column} is {line[column]!r}, expected a whole number.") from None


def _file(name: str, folder: str, where: str) -> str:
    """The clip's path below the audio folder. Raises UserError where its name leads out of it."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UserError(f"{where}: the file {name!r} is not inside the folder of audio: expected a path below it.")
    return str(PurePosixPath(folder) / path)


def _check_each_file_once(path: Path, rows: list[_Row]) -> None:
    """A clip listed in two folds would be trained on and tested on."""
    seen: dict[str, int] = {}
    for row in rows:
        if seen.setdefault(row.file, row.line) != row.line:
            raise UserError(f"{path} lists {row.file} twice, in lines {seen[row.file]} and {row.line}: remove one.")


def _class_names(path: Path, rows: list[_Row]) -> dict[int, str]:
    """The class names by the CSV's own label. Raises UserError where they are not one to one."""
    names: dict[int, str] = {}
    for row in rows:
        if names.setdefault(row.label, row.class_name) != row.class_name:
            raise UserError(
                f"{path}, line {row.line}: label {row.label} is named {row.class_name!r} here and "
                f"{names[row.label]!r} before: expected one name for a label."
            )
    if len(set(names.values())) != len(names):
        raise UserError(f"{path} gives one class name to several labels: expected one label for a class.")
    return names
