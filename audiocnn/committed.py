"""How the results here differ from those committed in git HEAD: dvc.lock and metrics/, by byte and by number."""

import csv
import hashlib
import io
import json
import re
import subprocess
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml

LOCK = "dvc.lock"
PARAMS = "params.yaml"
METRICS = "metrics"
_ROW_KEYS = ("class", "fold", "epoch", "row")  # the columns that say what a row of a CSV is about
_METRIC = re.compile(r"-?[0-9]+\.[0-9]+")
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")

Files = dict[str, bytes]


class Difference(NamedTuple):
    """A metric that changed: where it stands, and its two values."""

    place: str
    old: float
    new: float


class Stage(NamedTuple):
    """A stage of a dvc.lock: the digests of its deps and outs by path, and its params out of params.yaml."""

    deps: dict[str, str | None]
    outs: dict[str, str | None]
    params: dict[str, Any]


def comparison(root: Path) -> str:
    """A sentence or two: whether dvc.lock and metrics/ are the committed ones, else the largest difference and why."""
    committed = committed_files(root)
    if not {LOCK, f"{METRICS}/summary.json"} <= committed.keys():
        return "git HEAD holds no results to compare with: commit dvc.lock and metrics/ to keep these."
    here = files_here(root)
    if here == committed:
        return "identical to the committed results"
    new_params = here.pop(PARAMS, None) != committed.pop(PARAMS, None)
    if here == committed:
        return "identical to the committed results, but params.yaml has changed since: run 'dvc repro'"
    return f"{_what_differs(here, committed)}\n{_why(here, committed, new_params)}"


def committed_files(root: Path) -> Files:
    """What git HEAD has of params.yaml, dvc.lock and metrics/, by path; nothing without git or a commit."""
    listing = git(root, "ls-tree", "-r", "-z", "--name-only", "HEAD", PARAMS, LOCK, f"{METRICS}/")
    names = (listing or b"").decode().split("\0")[:-1]
    contents = {name: git(root, "show", f"HEAD:./{name}") for name in names}
    return {name: content for name, content in contents.items() if content is not None and _counts(name)}


def files_here(root: Path) -> Files:
    """The same files as they are in the working tree."""
    paths = [root / PARAMS, root / LOCK, *sorted((root / METRICS).rglob("*"))]
    names = {path.relative_to(root).as_posix(): path for path in paths if path.is_file()}
    return {name: path.read_bytes() for name, path in names.items() if _counts(name)}


def largest_difference(old: Files, new: Files) -> Difference | None:
    """The metric in metrics/ that changed most, in absolute terms, among those on both sides; None where none did."""
    before, after = dict(_entries(old)), dict(_entries(new))
    changed = [
        Difference(place, value, other)
        for place, value in before.items()
        if (other := after.get(place, value)) != value
    ]
    return max(changed, key=lambda difference: abs(difference.new - difference.old), default=None)


def changed_inputs(old: bytes, new: bytes) -> list[str]:
    """The params, code files and dataset whose value or digest differs between two dvc.lock files."""
    return differing(lock_inputs(old), lock_inputs(new))


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The names whose value differs between two mappings, in order; a missing one counts as None."""
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def validation_of(columns: Container[str]) -> str:
    """train.validation of the run whose folds.csv has these columns: only `previous_fold` has a test_acc."""
    return "previous_fold" if "test_acc" in columns else "held_out"


def md5(content: bytes) -> str:
    """A file's digest as dvc.lock has it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _what_differs(here: Files, committed: Files) -> str:
    largest = largest_difference(committed, here)
    if largest is not None:
        return (
            "not identical to the committed results; the largest difference is in "
            f"{largest.place}: {largest.old:.6f} committed, {largest.new:.6f} here"
        )
    return f"the same metrics as committed, but other bytes in {', '.join(differing(committed, here))}"


def _why(here: Files, committed: Files, new_params: bool) -> str:
    inputs = changed_inputs(committed[LOCK], here.get(LOCK, b""))
    if new_params or inputs:
        return f"expected: {', '.join(inputs) or PARAMS} changed since the commit; see 'dvc metrics diff'"
    return (
        "the params, code and data are the committed ones: expected on another kind of machine, whose last bits of "
        "floating point differ and grow as training goes on; not expected on the machine that made the committed ones"
    )


def lock_inputs(lock: bytes) -> dict[str, Any]:
    """Params, code files and data/raw of a dvc.lock, by name. Raises nothing: what is no lock has no inputs."""
    found: dict[str, Any] = {}
    for stage in _stages(lock).values():
        found |= {path: digest for path, digest in stage.deps.items() if path.endswith(".py")}
        found |= {path: digest for path, digest in stage.outs.items() if path == "data/raw"}
        found |= _flat(stage.params)
    return found


def prepared_digests(lock: bytes) -> set[str]:
    """The digests of the data/prepared that a dvc.lock's folds were trained on: one, unless only some were redone."""
    digests = {stage.deps.get("data/prepared") for stage in _stages(lock).values()}
    return {digest for digest in digests if digest is not None}


def lock_stages(lock: Any) -> dict[str, Stage]:
    """The stages in a dvc.lock's value, less the folds that aggregate did not read: DVC keeps what is not listed now.

    Raises nothing: what is no lock has no stages.
    """
    try:
        stages = {str(name): _stage(value) for name, value in lock["stages"].items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
    folds = stages["aggregate"].params.get("folds") if "aggregate" in stages else None
    return {name: stage for name, stage in stages.items() if not _left_behind(name, folds)}


def _stages(lock: bytes) -> dict[str, Stage]:
    try:
        return lock_stages(yaml.safe_load(lock))
    except yaml.YAMLError:
        return {}


def _stage(value: dict[str, Any]) -> Stage:
    deps, outs = ({str(entry["path"]): entry.get("md5") for entry in value.get(key, ())} for key in ("deps", "outs"))
    return Stage(deps, outs, dict(value.get("params", {}).get(PARAMS, {})))


def yaml_values(content: bytes) -> dict[str, Any]:
    """A YAML file's values by dotted name; none where it is no YAML."""
    try:
        return _flat(yaml.safe_load(content) or {})
    except yaml.YAMLError:
        return {}


def csv_rows(text: str) -> list[dict[str, str]]:
    """A CSV's rows. Raises ValueError where there is none, or one has too many or too few cells."""
    try:
        rows = list(csv.DictReader(io.StringIO(text)))
    except csv.Error as error:  # a cell of more than 131,072 characters, for example
        raise ValueError from error
    if not rows or any(None in row or None in row.values() for row in rows):
        raise ValueError
    return rows


def _left_behind(stage: str, folds: Any) -> bool:
    name, _, fold = stage.partition("@")
    return name == "train_fold" and isinstance(folds, list) and fold not in map(str, folds)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted names; lists count as values."""
    if not isinstance(value, dict):
        return {prefix: _number(value)}
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{name}" if prefix else str(name))
    return flat


def _number(value: Any) -> Any:
    """A number that DVC writes as YAML 1.2 has it and PyYAML, with YAML 1.1, reads as text: 1e-05."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _entries(files: Files) -> Iterator[tuple[str, float]]:
    """Every metric in metrics/: its place in words, and its value. A damaged file has none."""
    for name, content in files.items():
        with suppress(ValueError):
            read = {".json": _json_metrics, ".csv": _csv_metrics}.get(Path(name).suffix)
            yield from ((f"{name}, {place}", value) for place, value in (read(content.decode()) if read else ()))


def _json_metrics(text: str) -> Iterator[tuple[str, float]]:
    yield from ((key, value) for key, value in _flat(json.loads(text)).items() if isinstance(value, float))


def _csv_metrics(text: str) -> Iterator[tuple[str, float]]:
    """The cells with a decimal point: counts and names have none."""
    for row in csv_rows(text):
        place = " ".join(f"{key} {row[key]}" for key in _ROW_KEYS if key in row)
        for column, cell in row.items():
            if column not in _ROW_KEYS and _METRIC.fullmatch(cell):
                yield f"{place}, {column}", float(cell)


def _counts(name: str) -> bool:
    """Whether a file is compared: .gitignore, .gitkeep and half-written files are no results."""
    return not Path(name).name.startswith(".")


def git(root: Path, *arguments: str) -> bytes | None:
    """What a git command prints, or None where it fails or there is no git."""
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout
    except (OSError, ValueError, subprocess.CalledProcessError):  # ValueError: a zero byte in a name
        return None
