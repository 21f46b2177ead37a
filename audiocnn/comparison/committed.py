"""How the results here differ from those committed in git HEAD: dvc.lock and metrics/, by byte and by number."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from audiocnn.comparison.differing import differing
from audiocnn.comparison.git import git
from audiocnn.config.dvc_lock import LOCK, check_settled, inputs, parse_lock
from audiocnn.config.outs import FOLD_RESULTS, METRICS
from audiocnn.config.params import PARAMS_FILE
from audiocnn.config.settings import flat, parse_json
from audiocnn.errors import UserError
from audiocnn.evaluation.read import csv_rows

PARAMS = PARAMS_FILE.name
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
    try:
        committed = _committed_files(root)
        here = _files_here(root)
        check_settled(here.get(LOCK, b""), LOCK)
    except UserError as error:
        return f"not compared with the committed results: {error}"
    if git(root, "rev-parse", "--git-dir") is None:
        return "no results to compare with: this folder is no git clone, or git is not installed"
    if not {LOCK, f"{METRICS}/summary.json"} <= committed.keys():
        return "git HEAD holds no results to compare with: commit dvc.lock and metrics/ to keep these."
    if here == committed and not (root / FOLD_RESULTS).is_dir():
        return "these are the committed numbers: nothing has been trained here yet; 'make repro' or 'dvc repro' trains"
    if here == committed:
        return "identical to the committed results"
    new_params = here.pop(PARAMS, None) != committed.pop(PARAMS, None)
    if here == committed:
        return "identical to the committed results, but params.yaml has changed since: run 'dvc repro'"
    return f"{_what_differs(here, committed)}\n{_why(here, committed, new_params)}"


def _committed_files(root: Path) -> Files:
    """What git HEAD has of params.yaml, dvc.lock and metrics/, by path; nothing without git or a commit."""
    listing = git(root, "ls-tree", "-r", "-z", "--name-only", "HEAD", PARAMS, LOCK, f"{METRICS}/")
    names = (listing or b"").decode().split("\0")[:-1]
    contents = {name: git(root, "show", f"HEAD:./{name}") for name in names}
    return {name: content for name, content in contents.items() if content is not None and _counts(name)}


def _files_here(root: Path) -> Files:
    """The same files as they are in the working tree."""
    paths = [root / PARAMS, root / LOCK, *sorted((root / METRICS).rglob("*"))]
    names = {path.relative_to(root).as_posix(): path for path in paths if path.is_file()}
    return {name: path.read_bytes() for name, path in names.items() if _counts(name)}


def _largest_difference(old: Files, new: Files) -> Difference | None:
    """The metric in metrics/ that changed most, in absolute terms, among those on both sides; None where none did."""
    before, after = dict(_entries(old)), dict(_entries(new))
    changed = [
        Difference(place, value, other)
        for place, value in before.items()
        if (other := after.get(place, value)) != value
    ]
    return max(changed, key=lambda difference: abs(difference.new - difference.old), default=None)


def _changed_inputs(old: bytes, new: bytes) -> list[str]:
    """The params, code files and dataset whose value or digest differs between two dvc.lock files."""
    return differing(inputs(parse_lock(old)), inputs(parse_lock(new)))


def _what_differs(here: Files, committed: Files) -> str:
    largest = _largest_difference(committed, here)
    if largest is not None:
        return (
            "not identical to the committed results; the largest difference is in "
            f"{largest.place}: {largest.old:.6f} committed, {largest.new:.6f} here"
        )
    return f"the same metrics as committed, but other bytes in {', '.join(differing(committed, here))}"


def _why(here: Files, committed: Files, new_params: bool) -> str:
    inputs = _changed_inputs(committed[LOCK], here.get(LOCK, b""))
    if new_params or inputs:
        return f"expected: {', '.join(inputs) or PARAMS} changed since the commit; see 'dvc metrics diff'"
    return (
        "the params, code and data are the committed ones: expected on another kind of machine, whose last bits of "
        "floating point differ and grow as training goes on; not expected on the machine that made the committed ones"
    )


def _entries(files: Files) -> Iterator[tuple[str, float]]:
    """Every metric in metrics/: its place in words, and its value. A damaged file has none."""
    for name, content in files.items():
        with suppress(ValueError):
            read = {".json": _json_metrics, ".csv": _csv_metrics}.get(Path(name).suffix)
            yield from ((f"{name}, {place}", value) for place, value in (read(content.decode()) if read else ()))


def _json_metrics(text: str) -> Iterator[tuple[str, float]]:
    yield from ((key, value) for key, value in flat(parse_json(text)).items() if isinstance(value, float))


def _csv_metrics(text: str) -> Iterator[tuple[str, float]]:
    """The cells with a decimal point: counts and names have none."""
    for row in csv_rows(text):
        place = " ".join(f"{key} {row[key]}" for key in _ROW_KEYS if key in row)
        for column, cell in row.items():
            if column not in _ROW_KEYS and _METRIC.fullmatch(cell):
                yield f"{place}, {column}", float(cell)


def _counts(name: str) -> bool:
    """Whether a file is compared: .gitignore, .gitkeep and half-written files are not results."""
    return not Path(name).name.startswith(".")
