"""A table of text as its rows: any of the usual separators and encodings, with a line of column names or without."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from audiocnn.errors import UserError
from audiocnn.sound.suffixes import SUFFIXES
from audiocnn.text import displayed

_SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons"}
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Row:
    """A row of a table: the line that it ends in, counted from 1, and its cells, one a column, without outer spaces."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """A table's rows below its column names. Where it has no names, columns are called 1, 2 and so on.

    separator, encoding: in words, as they were found.
    """

    path: Path
    columns: list[str]
    rows: list[Row]
    has_names: bool
    separator: str
    encoding: str

    def where(self, row: Row) -> str:
        """A row's place, to begin a sentence with."""
        return f"{self.path}, line {row.line}"


def read_table(path: Path) -> Table:
    """A CSV, TSV or semicolon table in UTF-8, UTF-16 (with its mark) or Latin-1.

    Its first line holds column names unless a cell of it names a sound file. Rows may have more or fewer cells than
    there are columns: check_rows refuses them. Raises UserError where the file is missing or is not text.
    """
    text, encoding = _decoded(path)
    separator = _separator(text)
    rows = _rows(path, text, separator)
    first = rows[0].cells if rows else []
    has_names = not any(names_a_sound(cell) for cell in first)
    columns = first if has_names else [str(number) for number in range(1, len(first) + 1)]
    return Table(path, columns, rows[1:] if has_names else rows, has_names, _SEPARATORS[separator], encoding)


def check_rows(table: Table) -> None:
    """Raises UserError, with the line, where a row has more or fewer cells than there are columns."""
    count = len(table.columns)
    for row in table.rows:
        if len(row.cells) != count:
            raise UserError(
                f"{table.where(row)}: it has {len(row.cells)} cells and the table {count} columns "
                f"({displayed(', '.join(table.columns))}): put quotes around a cell that holds the separator."
            )


def names_a_sound(cell: str) -> bool:
    """Whether a cell is the name of a sound file, by its ending."""
    return Path(cell).suffix.lower() in SUFFIXES


def _decoded(path: Path) -> tuple[str, str]:
    """The text and its encoding. A text that is neither UTF-8 nor marked as UTF-16 is read as Latin-1."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): name the table that lists the clips with --metadata FILE."
        ) from None
    try:
        if content.startswith(_BYTE_ORDER_MARKS):
            return content.decode("utf-16"), "UTF-16"
        text, encoding = content.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        text, encoding = content.decode("latin-1"), "Latin-1"
    if "\0" in text:
        raise UserError(f"{path} is not a table of text, it holds NUL bytes: save it as CSV in UTF-8.")
    return text, encoding


def _separator(text: str) -> str:
    """The separator that makes most cells of the first line; a comma where none makes two."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(_SEPARATORS, key=lambda separator: len(next(csv.reader([first], delimiter=separator))))


def _rows(path: Path, text: str, separator: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return [Row(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num}: it is not a table with {_SEPARATORS[separator]} between its cells "
            f"({error}): mend the quotes there."
        ) from None
