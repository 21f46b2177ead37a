"""How the results here differ from those committed in git HEAD: dvc.lock and metrics/, by byte and by number."""

import csv
import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

LOCK = "dvc.lock"
PARAMS = "params.yaml"
METRICS = "metrics"
_ROW_KEYS = ("class", "fold", "epoch", "row")  # the columns that say what a row of a CSV is about
_METRIC = re.compile(r"-?[0-9]+\.[0-9]+")

Files = dict[str, bytes]


class Difference(NamedTuple):
    """A metric that changed: where it stands, and its two values."""

    place: str
    old: float
    new: float


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
    listing = _git(root, "ls-tree", "-r", "-z", "--name-only", "HEAD", PARAMS, LOCK, f"{METRICS}/")
    names = (listing or b"").decode().split("\0")[:-1]
    contents = {name: _git(root, "show", f"HEAD:./{name}") for name in names}
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
    before, after = _inputs(old), _inputs(new)
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _what_differs(here: Files, committed: Files) -> str:
    largest = largest_difference(committed, here)
    if largest is not None:
        return (
            "not identical to the committed results; the largest difference is in "
            f"{largest.place}: {largest.old:.6f} committed, {largest.new:.6f} here"
        )
    different = sorted(name for name in here.keys() | committed.keys() if here.get(name) != committed.get(name))
    return f"the same metrics as committed, but other bytes in {', '.join(different)}"


def _why(here: Files, committed: Files, new_params: bool) -> str:
    inputs = changed_inputs(committed[LOCK], here.get(LOCK, b""))
    if new_params or inputs:
        return f"expected: {', '.join(inputs) or PARAMS} changed since the commit; see 'dvc metrics diff'"
    return (
        "the params, code and data are the committed ones: expected on another kind of machine, whose last bits of "
        "floating point differ and grow as training goes on; not expected on the machine that made the committed ones"
    )


def _inputs(lock: bytes) -> dict[str, Any]:
    """Params, code files and data/raw of a dvc.lock, by name. Raises nothing: what is no lock has no inputs."""
    try:
        stages = yaml.safe_load(lock)["stages"].values()
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        return {}
    found: dict[str, Any] = {}
    for stage in stages:
        found |= {dep["path"]: dep.get("md5") for dep in stage.get("deps", ()) if dep["path"].endswith(".py")}
        found |= {out["path"]: out.get("md5") for out in stage.get("outs", ()) if out["path"] == "data/raw"}
        found |= _flat(stage.get("params", {}).get(PARAMS, {}))
    return found


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted names; lists count as values."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{name}" if prefix else str(name))
    return flat


def _entries(files: Files) -> Iterator[tuple[str, float]]:
    """Every metric in metrics/: its place in words, and its value. Counts and names are none: they have no point."""
    for name, content in files.items():
        if name.endswith(".json"):
            for key, value in _flat(json.loads(content)).items():
                if isinstance(value, float):
                    yield f"{name}, {key}", value
        elif name.endswith(".csv"):
            for row in csv.DictReader(io.StringIO(content.decode())):
                place = " ".join(f"{key} {row[key]}" for key in _ROW_KEYS if key in row)
                for column, cell in row.items():
                    if column not in _ROW_KEYS and isinstance(cell, str) and _METRIC.fullmatch(cell):
                        yield f"{name}, {place}, {column}", float(cell)


def _counts(name: str) -> bool:
    """Whether a file is compared: .gitignore, .gitkeep and half-written files are no results."""
    return not Path(name).name.startswith(".")


def _git(root: Path, *arguments: str) -> bytes | None:
    """What a git command prints, or None where it fails or there is no git."""
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
