"""A run's results, and what they were made with, out of git: a revision, a DVC experiment, or the working tree."""

import math
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from audiocnn.comparison.differing import differing
from audiocnn.comparison.git import contents, git
from audiocnn.config.dvc_lock import LOCK, inputs, is_code, parse_lock, prepared_digests
from audiocnn.config.outs import METRICS
from audiocnn.config.params import PARAMS_FILE
from audiocnn.config.settings import flat, parse_yaml
from audiocnn.errors import UserError
from audiocnn.evaluation.read import csv_rows, headline_metrics, validation_of
from audiocnn.files import md5

_WORKSPACE = "workspace"  # DVC's word for the working tree
_FOLDS, _CLASSES = f"{METRICS}/folds.csv", f"{METRICS}/classes.csv"


class RevisionResults(NamedTuple):
    """One side of a comparison.

    folds: a fold's metrics, by its index. recalls: by class. inputs: params, and digests of code and data/raw, as
    dvc.lock has them. data: digests of the prepared data that folds were trained on. stale: the params and code files
    that are no longer those of dvc.lock. clips: held out in all folds.
    """

    name: str
    folds: dict[int, dict[str, float]]
    recalls: dict[str, float]
    inputs: dict[str, Any]
    data: set[str]
    stale: list[str]
    clips: int

    @property
    def validation(self) -> str:
        """train.validation."""
        return validation_of(next(iter(self.folds.values())))


def read_revision(root: Path, revision: str | None) -> RevisionResults:
    """What a git revision or an experiment holds, without checking it out; None is the working tree. UserError."""
    commit = None if revision is None else commit_of(root, revision)
    name = _WORKSPACE if revision is None else re.sub(r"^([0-9a-f]{7})[0-9a-f]{33}$", r"\1", revision)
    folds, classes = (_table(root, commit, file, name) for file in (_FOLDS, _CLASSES))
    lock = parse_lock(read_file(root, commit, LOCK) or b"")
    made_with = inputs(lock)
    return RevisionResults(
        name,
        {row.pop("fold"): row for row in folds},
        {row["class"]: row["recall_mean"] for row in classes},
        made_with,
        prepared_digests(lock),
        _stale(root, commit, made_with),
        int(sum(row["clips"] for row in classes)),
    )


def commit_of(root: Path, name: str) -> str:
    """The commit of a git revision, or else of the DVC experiment of that name. Raises UserError."""
    if git(root, "rev-parse", "--git-dir") is None:
        raise UserError("this is not a git repository: run this in a clone of the project.")
    for candidate in [name, *_experiments(root, name)]:
        if found := git(root, "rev-parse", "--verify", "--quiet", f"{candidate}^{{commit}}"):
            return found.decode().strip()
    if git(root, "rev-parse", "--is-shallow-repository") == b"true\n":
        raise UserError(f"{name} is not in this clone, which is shallow: run 'git fetch --unshallow' first.")
    raise UserError(f"{name} is neither a git revision nor an experiment here: see 'git log' and 'dvc exp list -A'.")


def _experiments(root: Path, name: str) -> list[str]:
    """The refs of the DVC experiments of a name, refs/exps/BA/SELINE/NAME; HEAD's alone where it has one."""
    listing = (git(root, "for-each-ref", "--format=%(refname)", "refs/exps/") or b"").decode().splitlines()
    found = [ref for ref in listing if re.fullmatch(rf"refs/exps/[0-9a-f]{{2}}/[0-9a-f]+/{re.escape(name)}", ref)]
    head = (git(root, "rev-parse", "HEAD") or b"").decode().strip()
    of_head = [ref for ref in found if ref.startswith(f"refs/exps/{head[:2]}/{head[2:]}/")]
    if len(found) > 1 and not of_head:
        raise UserError(f"{name} is the name of {len(found)} experiments: give a commit, from 'dvc exp list -A --sha'.")
    return of_head or found


def read_file(root: Path, commit: str | None, name: str) -> bytes | None:
    """A file of a commit, or of the working tree; None where there is none."""
    if commit is not None:
        return git(root, "show", f"{commit}:./{name}")
    path = root / name
    return path.read_bytes() if path.is_file() else None


def _table(root: Path, commit: str | None, file: str, name: str) -> list[dict[str, Any]]:
    """A CSV's rows, their cells as _value has them. Raises UserError."""
    content = read_file(root, commit, file)
    if content is None:
        raise UserError(f"{name} has no {file}: compare revisions that hold results, which 'dvc repro' makes.")
    try:
        rows = csv_rows(content.decode())
        if not rows[0].keys() >= _needed_columns(file, rows[0].keys()):
            raise ValueError
        return [{column: _value(column, cell) for column, cell in row.items()} for row in rows]
    except ValueError:
        raise UserError(f"{file} of {name} is damaged: restore it with git, or run 'dvc repro'.") from None


def _needed_columns(file: str, columns: Collection[str]) -> set[str]:
    """The columns that a table must have. columns: those that it has; of folds.csv, they tell the protocol."""
    return {"class", "recall_mean"} if file == _CLASSES else {"fold", *headline_metrics(validation_of(columns))}


def _value(column: str, cell: str) -> Any:
    """A cell as what its column holds; NaN for the recall of a class without clips. Raises ValueError."""
    if column == "class":
        return cell
    if column == "fold":
        return int(cell)
    number = float(cell) if cell or not column.startswith("recall_") else math.nan
    if cell and not math.isfinite(number):
        raise ValueError
    return number


def _stale(root: Path, commit: str | None, made_with: dict[str, Any]) -> list[str]:
    """Params and code files that changed after the results were made, by dvc.lock; none where there is no lock."""
    expected = {name: value for name, value in made_with.items() if not name.startswith("data/")}
    if not expected:
        return []
    return differing(expected, present_inputs(root, commit, filter(is_code, expected)))


def present_inputs(root: Path, commit: str | None, code: Iterable[str]) -> dict[str, Any]:
    """What a commit, or the working tree, says now: params by their dotted names, and digests of the code files named.

    A file that is not there has None.
    """
    names = list(code)
    present = _yaml_values(read_file(root, commit, PARAMS_FILE.name) or b"")
    files = {name: read_file(root, None, name) for name in names} if commit is None else contents(root, commit, names)
    return present | {name: None if content is None else md5(content) for name, content in files.items()}


def _yaml_values(content: bytes) -> dict[str, Any]:
    """A YAML file's values by dotted name; none where it is not YAML."""
    try:
        return flat(parse_yaml(content) or {})
    except ValueError:
        return {}
