"""Where a dataset comes from: the demo, a dataset repository of the Hugging Face Hub, or a folder.

Whatever the source, the files are gathered in a staging folder on the same disk, checked against `data.sha256`, and
data/raw is then swapped as a whole: a kill at any instant leaves the old folder, the new one or none.
"""

import difflib
import os
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from tqdm import tqdm

from audiocnn.config.data_params import ARRAYS, DATASET_FILES, DataParams, SourceKind, source_kind, without_password
from audiocnn.config.hub_names import DATASETS, HubName, dataset_name
from audiocnn.config.outs import RAW
from audiocnn.config.settings import Settings
from audiocnn.errors import UserError
from audiocnn.files import replace_folder, restore_folder, sha256_of_file, write_json

_STAGING = Path("data/staging")
OLD = "old"  # what stood in data/raw, while the new folder takes its place
_RECORD = "source.json"
_REQUIRED = tuple(name.replace(".npy", ".pkl") for name in ARRAYS)


class FileRecord(Settings):
    """One file of a dataset: sha256 as 64 hex digits, size in bytes."""

    sha256: str
    size: int


class SourceRecord(Settings):
    """source.json: what a source resolved to; the same for the same content, so it names no folder."""

    kind: SourceKind
    files: dict[str, FileRecord]
    repository: str | None = None
    commit: str | None = None


def fetch(data: DataParams, raw: Path = RAW, staging: Path = _STAGING) -> SourceRecord:
    """Makes `raw` hold the source's files and source.json, and returns that record.

    A dataset of the Hub whose files are there already, whole, is not downloaded again. Raises UserError, and leaves
    `raw` alone, where the source has no such files, holds other bytes than `data.sha256` says, or cannot be read.
    """
    if raw.parent.is_symlink():
        raise UserError(
            f"{raw.parent}/ is a link, and DVC takes no outs behind one: make it a folder, and {raw} a link to where "
            "the data shall lie."
        )
    restore_folder(raw, staging / OLD)
    source = parse_source(data.source)
    if isinstance(source, HubName):
        return _fetch_from_hub(source, data, raw, staging)
    folder = staging / "new"
    try:
        _gather(source, folder)
        record = SourceRecord(kind=source_kind(data.source), files=_describe(folder))
        _publish(folder, record, data, raw, staging)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return record


def _fetch_from_hub(source: HubName, data: DataParams, raw: Path, staging: Path) -> SourceRecord:
    from audiocnn.hub.datasets import download, resolve

    commit = resolve(source)
    record = read_record(raw)
    if record and (record.repository, record.commit) == (source.repository, commit) and _is_whole(raw, record):
        _check_pins(record.files, data)
        return record
    folder = staging / commit
    download(source.repository, commit, DATASET_FILES, folder)
    record = SourceRecord(kind="hub", files=_describe(folder), repository=source.repository, commit=commit)
    _publish(folder, record, data, raw, staging)
    return record


def parse_source(source: str) -> HubName | Path | Literal["demo"]:
    """What `data.source` names. Raises UserError with the nearest thing that would be allowed."""
    if source == "demo":
        return "demo"
    if name := dataset_name(source):
        return name
    if re.match(r"hf:|https?:|\w+://", source):
        page = re.fullmatch(r"https?://huggingface\.co/datasets/([\w.-]+/[\w.-]+)/?", source)
        meant = f"did you mean hf://datasets/{page[1]}@main?" if page else "such as hf://datasets/OWNER/NAME@main."
        shown = without_password(source)
        raise UserError(f"params.yaml: data.source is {shown!r}, expected hf://datasets/OWNER/NAME@REVISION: {meant}")
    return _find_folder(source)


def _depth(copy: str) -> int:
    """How many parts of a path below .dvc/tmp/exps lead to the copy of git's root: `standalone/tmpX`, or `tmpX`."""
    return 2 if Path(copy).parts[:1] == ("standalone",) else 1


def _find_folder(source: str) -> Path:
    folder = Path(source).expanduser()
    if not folder.is_dir() and not folder.is_absolute():
        # `dvc exp run --temp` and queued experiments run in a copy of the project under its .dvc/tmp/exps.
        # Where git's root is above the project's folder, so is .dvc, and the copy has the same folders below it.
        root, found, copy = str(Path.cwd()).partition(f"{os.sep}.dvc{os.sep}tmp{os.sep}exps{os.sep}")
        folder = Path(root, *Path(copy).parts[_depth(copy) :]) / folder if found else folder
    if folder.is_dir():
        return folder
    if folder.exists():
        raise UserError(f"params.yaml: data.source is {source!r}, which is a file: give the folder that holds it.")
    typo = difflib.get_close_matches(source, ["demo"])
    raise UserError(
        f"params.yaml: data.source is {source!r}, and there is no folder {folder.absolute()}: "
        f"{'did you mean demo? ' if typo else ''}Expected demo, hf://datasets/OWNER/NAME@REVISION or a folder."
    )


def _gather(source: Path | Literal["demo"], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if source == "demo":
        from audiocnn.data.demo import write_demo

        write_demo(folder)
    else:
        _copy(source, folder)


def _copy(source: Path, folder: Path) -> None:
    present = [name for name in DATASET_FILES if os.path.lexists(source / name)]
    _check_present(present, str(source))
    for name in tqdm(present, desc="copying", unit="file", disable=None, leave=False):
        if not (source / name).is_file():
            raise UserError(f"{source / name} is not a regular file: put the pickle itself there.")
        try:
            shutil.copyfile(source / name, folder / name)
        except PermissionError as error:
            if error.filename != str(source / name):
                raise
            raise UserError(f"{source / name} cannot be read: permission is denied.") from None


def _check_present(names: Collection[str], where: str) -> None:
    twice = [name for name in ARRAYS if name in names and name.replace(".npy", ".pkl") in names]
    if twice:
        raise UserError(f"{where} has {twice[0]} and {twice[0].replace('.npy', '.pkl')}: keep the one that is right.")
    missing = [name for name in _REQUIRED if name not in names and name.replace(".pkl", ".npy") not in names]
    if missing:
        raise UserError(
            f"{where} has no {' and no '.join(missing)}: expected {', '.join(_REQUIRED)} (or .npy files) and, where "
            "the classes have names, class_mapping.pkl."
        )


def _check_pins(files: Mapping[str, FileRecord], data: DataParams) -> None:
    for name, expected in data.sha256.items():
        if name not in files:
            raise UserError(f"params.yaml: data.sha256 names {name}, which {data.source} does not have: take it out.")
        if files[name].sha256 != expected:
            raise UserError(
                f"{name} of {data.source} is refused: its sha256 is {files[name].sha256}, expected {expected} "
                "(params.yaml: data.sha256); take the pinned revision, or pin the new bytes."
            )


def pin_lines(record: SourceRecord, data: DataParams) -> str | None:
    """The YAML lines that would pin what was fetched; None where all is pinned already, and for the demo."""
    source = f"{DATASETS}{record.repository}@{record.commit}" if record.kind == "hub" else data.source
    if record.kind == "demo" or (data.source == source and set(data.sha256) == set(record.files)):
        return None
    digests = [f"    {name}: {file.sha256}" for name, file in sorted(record.files.items())]
    return "\n".join(["data:", f"  source: {source}", "  sha256:", *digests])


def summary(record: SourceRecord) -> str:
    """One line: the kind of source, where it came from, the files and their sizes."""
    origin = f" {record.repository} at {record.commit}" if record.kind == "hub" else ""
    files = ", ".join(f"{name} {_size(file.size)}" for name, file in sorted(record.files.items()))
    return f"fetched from {record.kind}{origin}: {files}"


def _size(size: int) -> str:
    for unit, bytes_each in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_each:
            return f"{size / bytes_each:.1f} {unit}"
    return f"{size} B"


def _describe(folder: Path) -> dict[str, FileRecord]:
    paths = [folder / name for name in DATASET_FILES if (folder / name).is_file()]
    return {path.name: FileRecord(sha256=sha256_of_file(path), size=path.stat().st_size) for path in paths}


def read_record(raw: Path) -> SourceRecord | None:
    """The record of what a folder holds; None where it has none that can be read."""
    try:
        return SourceRecord.model_validate_json((raw / _RECORD).read_bytes())
    except (OSError, ValidationError):
        return None


def _is_whole(raw: Path, record: SourceRecord) -> bool:
    names = {path.name for path in raw.iterdir()}
    return names == {*record.files, _RECORD} and _describe(raw) == record.files


def _publish(folder: Path, record: SourceRecord, data: DataParams, raw: Path, staging: Path) -> None:
    """Puts a staged folder in the place of `raw`, once its files are those that are required and pinned."""
    _check_present(record.files, data.source)
    _check_pins(record.files, data)
    write_json(folder / _RECORD, record.model_dump(exclude_none=True))
    replace_folder(folder, raw, staging / OLD)
    shutil.rmtree(staging)
