"""Which columns of a table hold a clip's file, label, class name and fold: by common names, in any case, or as told."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from audiocnn.errors import UserError
from audiocnn.sound.tables import Table, names_a_sound
from audiocnn.text import displayed

_FILE = ("file", "filename", "file_name", "path", "filepath", "file_path", "fname", "slice_file_name")
_LABEL = (
    "label",
    "labels",
    "primary_label",
    "scene_label",
    "target",
    "classid",
    "class_id",
    "class",
    "class_name",
    "category",
)
_FOLD = ("fold", "split")
_WHOLE_NUMBER = re.compile(r"[-+]?\d{1,15}(\.0*)?")


@dataclass(frozen=True)
class ColumnNames:
    """The names that a user gave, None where the column is to be found."""

    file: str | None = None
    label: str | None = None
    class_name: str | None = None
    fold: str | None = None


@dataclass(frozen=True)
class Columns:
    """Where in a row the cells are; None: the table has no such column. label: whole numbers, class_name: text."""

    file: int
    label: int | None
    class_name: int | None
    fold: int | None


def is_whole(cell: str) -> bool:
    """Whether a cell is a whole number, 1.0 included."""
    return _WHOLE_NUMBER.fullmatch(cell) is not None


def may_list_clips(table: Table, given: ColumnNames) -> bool:
    """Whether a table seems to list clips: it has a column of files and one of labels."""
    if not table.has_names:
        return len(table.columns) > 1
    files = [given.file] if given.file in table.columns else _named(table, _FILE)
    told = [name for name in (given.label, given.class_name) if name in table.columns]
    return bool(files) and bool(told or _named(table, _LABEL))


def find_columns(table: Table, given: ColumnNames) -> Columns:
    """The columns of a table that lists clips. Raises UserError, with the option that decides, where two may be it."""
    file = _index(table, given.file or _file(table), "--file-column")
    fold = given.fold or _only(table, _named(table, _FOLD), "the fold", "--fold-column")
    taken = {table.columns[file], fold}
    label, class_name = _label_and_class(table, given, taken)
    return Columns(
        file,
        None if label is None else _index(table, label, "--label-column"),
        None if class_name is None else _index(table, class_name, "--class-column"),
        None if fold is None else _index(table, fold, "--fold-column"),
    )


def _named(table: Table, names: Sequence[str]) -> list[str]:
    return [column for column in table.columns if column.lower() in names]


def _file(table: Table) -> str:
    if table.has_names:
        found = _only(table, _named(table, _FILE), "the file", "--file-column")
    else:
        cells = zip(table.columns, table.rows[0].cells, strict=True)
        found = _only(table, [column for column, cell in cells if names_a_sound(cell)], "the file", "--file-column")
    if found is None:
        raise _missing(table, "names no sound files in a column that is called as usual", "name it with --file-column")
    return found


def _label_and_class(table: Table, given: ColumnNames, taken: set[str | None]) -> tuple[str | None, str | None]:
    """The column of whole numbers and that of names; a label that is text is a name."""
    candidates = _named(table, _LABEL) if table.has_names else table.columns
    candidates = [column for column in candidates if column not in taken]
    label, class_name = given.label, given.class_name
    if label is not None and class_name is None and not _holds_numbers(table, label, "--label-column"):
        return None, label
    others = [column for column in candidates if column not in (label, class_name)]
    numbers = [column for column in others if _holds_numbers(table, column, "--label-column")]
    label = label or _only(table, numbers, "the label", "--label-column")
    texts = [column for column in others if column not in numbers]
    class_name = class_name or _only(table, texts, "the class", "--class-column")
    if label is None and class_name is None:
        raise _missing(
            table,
            "has no column of labels or class names that is called as usual",
            "name it with --label-column or --class-column",
        )
    return label, class_name


def _holds_numbers(table: Table, column: str, option: str) -> bool:
    index = _index(table, column, option)
    return all(is_whole(row.cells[index]) for row in table.rows)


def _only(table: Table, found: list[str], what: str, option: str) -> str | None:
    if len(found) > 1:
        listed = displayed(" and ".join(found))
        raise UserError(f"{table.path}: its columns {listed} may both be {what}: name the right one with {option}.")
    return found[0] if found else None


def _index(table: Table, name: str, option: str) -> int:
    if name in table.columns:
        return table.columns.index(name)
    raise _missing(table, f"has no column {name!r}", f"name one of them with {option}")


def _missing(table: Table, fault: str, advice: str) -> UserError:
    found = displayed(", ".join(table.columns)) or "none"
    numbered = "" if table.has_names else ", numbered because it has no line of names"
    return UserError(f"{table.path} {fault}, its columns are {found}{numbered}: {advice}.")
