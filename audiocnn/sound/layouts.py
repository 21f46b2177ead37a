"""A folder of sound files as a list of what is there: from its table, its known file names, or its folders."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from audiocnn.errors import UserError
from audiocnn.sound.columns import ColumnNames, Columns, find_columns, may_list_clips
from audiocnn.sound.groups import compiled, grouping, matched
from audiocnn.sound.known import KnownNames, KnownTable, known_names, known_table
from audiocnn.sound.sound_files import SoundFiles
from audiocnn.sound.tables import Row, Table, check_rows, names_a_sound, read_table
from audiocnn.text import displayed

SPLITS = ("train", "training", "dev", "val", "valid", "validation", "test", "testing", "eval", "evaluation")
"""Names of splits, in the order in which their folds are numbered."""
_TABLES = (".csv", ".tsv", ".txt")
_DEPTH = 3  # folders deep that a table is looked for: an archive's own folder, and one such as metadata/ in it


@dataclass(frozen=True)
class Choices:
    """What a user decides. class_from: a regular expression on file names. group_by: see grouping."""

    metadata: Path | None = None
    columns: ColumnNames = field(default_factory=ColumnNames)
    class_from: str | None = None
    group_by: str | None = None


@dataclass(frozen=True)
class Entry:
    """One clip as it is listed. where: its line or itself. Empty texts: no number, name, fold or group is given."""

    where: str
    file: str
    label: str
    class_name: str
    fold: str
    group: str


@dataclass(frozen=True)
class Listing:
    """A folder's clips.

    name: the layout. details: how it is read. groups: what must stay together, in words. seconds: the length of a known
    dataset's clips. columns: what is in those of its table. missing: files that are listed and not there. others: how
    many sound files are not listed.
    """

    name: str
    details: str
    entries: list[Entry]
    groups: str = ""
    seconds: float | None = None
    columns: str = ""
    missing: list[str] = field(default_factory=list)
    others: int = 0


def list_clips(folder: Path, choices: Choices) -> Listing:
    """The clips of a folder. Nothing of the sound files is read. Raises UserError."""
    sounds = SoundFiles(folder)
    if choices.class_from is not None:
        return _from_file_names(sounds, choices)
    tables = [] if choices.metadata else _tables(folder, choices.columns)
    table = _named_table(folder, choices.metadata) if choices.metadata else _the_table(sounds, tables, choices)
    if table is not None:
        return _from_table(sounds, table, choices)
    if not sounds.paths:
        raise UserError(f"{folder} holds no sound files: name the folder that does as AUDIO_DIR.")
    known = known_names(sounds.paths)
    return _from_known_names(sounds, known, choices) if known else _from_folders(sounds, tables, choices)


def _tables(folder: Path, columns: ColumnNames) -> list[Table]:
    """The tables from a folder down to where one may list clips: a README.txt with commas is no end of the search.

    Below the first folder, those with sounds have none of interest.
    """
    found: list[Table] = []
    level = [folder]
    for _ in range(_DEPTH):
        tables = [table for here in level for table in _tables_in(here)]
        found += tables
        if any(may_list_clips(table, columns) for table in tables):
            break
        level = [below for here in level for below in sorted(here.iterdir()) if _may_hold_tables(below)]
    return found


def _tables_in(folder: Path) -> list[Table]:
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _TABLES and not path.name.startswith(".") and path.is_file():
            with suppress(UserError):  # not a table after all
                found.append(read_table(path))
    return [table for table in found if len(table.columns) > 1 and table.rows]


def _may_hold_tables(path: Path) -> bool:
    return path.is_dir() and path.name[0] != "." and not any(names_a_sound(inner.name) for inner in path.iterdir())


def _named_table(folder: Path, metadata: Path) -> Table:
    """The table at a path, as seen from here or from the folder of audio."""
    return read_table(metadata if metadata.exists() or not (folder / metadata).exists() else folder / metadata)


def _the_table(sounds: SoundFiles, tables: Sequence[Table], choices: Choices) -> Table | None:
    """The only table that lists clips, or the only one of several whose first clip is there."""
    found = [table for table in tables if may_list_clips(table, choices.columns)]
    if len(found) > 1:
        found = [table for table in found if _first_clip_is_there(sounds, table, choices)] or found
    if len(found) > 1:
        listed = displayed(", ".join(table.path.name for table in found))
        raise UserError(
            f"{sounds.folder} has {len(found)} tables that may list the clips ({listed}): name the right one with "
            "--metadata FILE."
        )
    return found[0] if found else None


def _first_clip_is_there(sounds: SoundFiles, table: Table, choices: Choices) -> bool:
    with suppress(UserError, IndexError):
        file = find_columns(table, choices.columns).file
        return sounds.find(table.rows[0].cells[file], "", "") is not None
    return False


def _from_table(sounds: SoundFiles, table: Table, choices: Choices) -> Listing:
    check_rows(table)
    if not table.rows:
        raise UserError(f"{table.path} lists no clips: expected one a line, after a line of column names.")
    known = known_table(table.columns)
    columns = find_columns(table, choices.columns)
    group_by = choices.group_by or _column(table, known.group if known else None)
    group_of = grouping(group_by, table.columns)
    entries, missing = [], []
    for row in table.rows:
        entry, is_there = _entry(sounds, table, row, columns, known)
        entries.append(Entry(**{**vars(entry), "group": group_of(entry.file, row.cells)}))
        if not is_there:
            missing.append(entry.file)
    _check_each_file_once(table.path, entries)
    return Listing(
        known.name if known else "a table",
        f"{_below(sounds.folder, table.path)}: {table.separator}, {table.encoding}",
        entries,
        group_by or "",
        known.seconds if known else None,
        _described(table, columns),
        missing,
        len(set(sounds.paths) - {entry.file for entry in entries}),
    )


def _entry(
    sounds: SoundFiles, table: Table, row: Row, columns: Columns, known: KnownTable | None
) -> tuple[Entry, bool]:
    """A row's clip, without its group, and whether its file is there."""

    def cell(index: int | None) -> str:
        return "" if index is None else row.cells[index]

    where, name, class_name = table.where(row), row.cells[columns.file], cell(columns.class_name)
    for index in (columns.label, columns.class_name, columns.fold):
        if index is not None and not row.cells[index]:
            raise UserError(f"{where}: {table.columns[index]} is empty, expected a value in each row.")
    if known and known.first_label:
        class_name = class_name.partition(",")[0]
    found = sounds.find(name, cell(columns.fold), where)
    file = found or "/".join(PurePosixPath(name.replace("\\", "/")).parts)
    return Entry(where, file, cell(columns.label), class_name, cell(columns.fold), ""), found is not None


def _column(table: Table, name: str | None) -> str | None:
    """A table's own spelling of a column."""
    return next((column for column in table.columns if name and column.lower() == name.lower()), None)


def _described(table: Table, columns: Columns) -> str:
    """Which column is what."""
    named = [f"{role}: {table.columns[index]}" for role, index in _roles(columns).items() if index is not None]
    return ", ".join(named) if table.has_names else f"without names; {', '.join(named)}"


def _roles(columns: Columns) -> dict[str, int | None]:
    return {"file": columns.file, "label": columns.label, "class": columns.class_name, "fold": columns.fold}


def _below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _check_each_file_once(path: Path, entries: Sequence[Entry]) -> None:
    """A clip listed in two folds would be trained on and tested on."""
    seen: dict[str, str] = {}
    for entry in entries:
        if entry.file in seen:
            raise UserError(f"{entry.where}: {entry.file!r} is listed in {seen[entry.file]} already: remove one.")
        seen[entry.file] = entry.where.removeprefix(f"{path}, ")


def _from_file_names(sounds: SoundFiles, choices: Choices) -> Listing:
    """The class by a part of each file's name."""
    pattern = compiled(str(choices.class_from), "--class-from")
    group_of = grouping(choices.group_by, ())
    entries = [
        Entry(path, path, "", matched(pattern, path, "--class-from"), "", group_of(path, ())) for path in sounds.paths
    ]
    if not entries:
        raise UserError(f"{sounds.folder} holds no sound files: name the folder that does as AUDIO_DIR.")
    details = f"class by {pattern.pattern!r}"
    return Listing("file names", details, entries, choices.group_by or "")


def _from_known_names(sounds: SoundFiles, known: KnownNames, choices: Choices) -> Listing:
    splits = _listed_splits(sounds, known)
    group_of = grouping(choices.group_by, ()) if choices.group_by else None
    entries = []
    for path in sounds.paths:
        match = known.pattern.fullmatch(path)
        assert match is not None
        parts = match.groupdict()
        class_name = known.labels.get(parts["label"], parts["label"])
        fold = splits.get(path, "train") if splits else parts.get("fold", "")
        group = group_of(path, ()) if group_of else parts.get("group", "")
        entries.append(Entry(path, path, "", class_name, fold, group))
    details = "by its file names" + (f", splits by {', '.join(known.lists.values())}" if splits else "")
    return Listing(known.name, details, entries, choices.group_by or known.groups, known.seconds)


def _listed_splits(sounds: SoundFiles, known: KnownNames) -> dict[str, str]:
    """The split by file, as far as lists beside the folders tell it; nothing where there are no lists."""
    splits = {}
    for split, name in known.lists.items():
        for path in sorted(sounds.folder.glob(f"**/{name}")):
            top = path.parent.relative_to(sounds.folder)
            splits.update({(top / line).as_posix(): split for line in path.read_text().splitlines() if line})
    return splits


def _from_folders(sounds: SoundFiles, tables: Sequence[Table], choices: Choices) -> Listing:
    """The first folder names the class, or the split where all first ones are called as splits are."""
    paths = [PurePosixPath(path).parts for path in sounds.paths]
    while len({parts[0] for parts in paths}) == 1 and all(len(parts) > 2 for parts in paths):
        paths = [parts[1:] for parts in paths]  # an archive's own folder
    if any(len(parts) == 1 for parts in paths):
        raise UserError(_no_classes(sounds.folder, tables))
    has_splits = all(len(parts) > 2 and parts[0].lower() in SPLITS for parts in paths)
    group_of = grouping(choices.group_by, ())
    entries = [
        Entry(path, path, "", parts[has_splits], parts[0] if has_splits else "", group_of(path, ()))
        for path, parts in zip(sounds.paths, paths, strict=True)
    ]
    name = "one folder per split, in it one folder per class" if has_splits else "one folder per class"
    details = f"no table lists clips{_of_other_columns(tables)}"
    return Listing(name, details, entries, choices.group_by or "")


def _no_classes(folder: Path, tables: Sequence[Table]) -> str:
    return (
        f"{folder} has sound files that are in no class's folder, and no table that lists them"
        f"{_of_other_columns(tables)}: name a table with --metadata FILE and its columns with --file-column and "
        "--class-column, or the part of file names that is the class with --class-from, such as '^([a-z]+)_'."
    )


def _of_other_columns(tables: Sequence[Table]) -> str:
    """What the tables that list no clips hold, in parentheses."""
    found = [f"{table.path.name} has {', '.join(table.columns[:12])}" for table in tables[:3]]
    return f" ({displayed('; '.join(found))})" if found else ""
