"""Folds made again beside the released ones: identical, or what differs and the likeliest reasons in order."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import TypeAdapter, ValidationError

from audiocnn.checkpoints.failure import error_of
from audiocnn.comparison.differing import differing
from audiocnn.config.outs import fold_result_name, weights_name
from audiocnn.config.params import PARAMS_FILE, Params
from audiocnn.config.settings import flat, parse_json, parse_yaml, validate
from audiocnn.data.prepared import META
from audiocnn.errors import UserError
from audiocnn.evaluation import rows
from audiocnn.evaluation.fold_results import FoldResult, History
from audiocnn.evaluation.read import csv_rows
from audiocnn.files import json_text, sha256_of_file
from audiocnn.folds.dvc import current_session
from audiocnn.folds.plan import Plan
from audiocnn.inference.find_weights import untrusted_header
from audiocnn.release.origin import ORIGIN, FoldOrigin
from audiocnn.release.place import Release
from audiocnn.release.verify import Row

_SAID = ("key", "torch", "device")  # what a result says of how it was made, beside its numbers


class _FoldHistory(History):
    """An entry of histories.json."""

    fold: int


def contradictions(release: Release, folds: Sequence[int]) -> list[str]:
    """Lines on files of the release that are not what its origin.json records: nothing need be trained to see that."""
    lines = []
    for name, recorded in ((weights_name(fold), release.origin.folds[fold].weights) for fold in folds):
        if sha256_of_file(release.weights(name)) != recorded:
            lines.append(f"{name} is not the file that its {ORIGIN} records: it is damaged or was exchanged")
    if not _has_its_params(release):
        lines.append(f"{PARAMS_FILE} is not what its {ORIGIN} records: those of {ORIGIN} are used")
    return lines


def _has_its_params(release: Release) -> bool:
    try:
        values = parse_yaml(release.text(PARAMS_FILE.name) or b"")
        return validate(Params, values, "") == release.origin.params
    except (UserError, ValueError, RecursionError):
        return False


def results_of(plan: Plan, folds: Sequence[int]) -> dict[int, dict[str, bytes]]:
    """The two files of each fold, by fold and name. Raises UserError where one was not trained to its end."""
    found = {}
    for fold in folds:
        results = plan.results(fold)
        if results is None:
            failure = error_of(plan.folder(fold), current_session())
            raise UserError(failure or f"fold {fold} did not finish: run this again.")
        found[fold] = results
    return found


def differences(release: Release, results: Mapping[int, Mapping[str, bytes]]) -> list[str]:
    """Lines on how folds made again differ from what origin.json records; none where all files are identical."""
    return [line for fold, files in results.items() for line in _fold_differences(release, fold, files)]


def _fold_differences(release: Release, fold: int, files: Mapping[str, bytes]) -> list[str]:
    recorded, result = release.origin.folds[fold], fold_result_name(fold)
    released = {weights_name(fold): recorded.weights, result: recorded.result}
    here = {name: _sha256(content) for name, content in files.items()}
    changed = differing(here, released)
    lines = [f"{name} differs: sha256 {here[name]} here, {released[name]} released" for name in changed]
    if result not in changed:
        return lines
    if said := _differs_only_in(files[result], recorded):
        return [*lines, f"  the two differ in {' and '.join(said)} alone: the numbers are the released ones"]
    return [*lines, *_numbers(release, FoldResult.model_validate_json(files[result]))]


def _differs_only_in(result: bytes, recorded: FoldOrigin) -> list[str]:
    """What of _SAID, once replaced, makes a fold's JSON the released one; nothing where that does not suffice."""
    value = json.loads(result)
    other = {name: getattr(recorded, name) for name in _SAID if value[name] != getattr(recorded, name)}
    return list(other) if _sha256(json_text(value | other).encode()) == recorded.result else []


def _numbers(release: Release, here: FoldResult) -> list[str]:
    """How far apart a fold's numbers are, by its weights' header and histories.json, for which nothing vouches."""
    header = None
    accuracy = here.val_accuracy
    best = f"  last epoch {here.best_epoch} here"
    if accuracy is not None:
        best = f"  best epoch {here.best_epoch} with val_acc {accuracy:.4f} here"
    with suppress(UserError):
        header = untrusted_header(release.weights(weights_name(here.fold)))
    if header is not None:
        reached = "" if header.accuracy is None else f" with {header.accuracy:.4f}"
        best += f", {header.epoch}{reached} released"
    released = _released_history(release, here.fold)
    return [best, *([] if released is None else _first_difference(here.history, released))]


def _released_history(release: Release, fold: int) -> History | None:
    try:
        histories = TypeAdapter(list[_FoldHistory]).validate_json(release.text("histories.json") or b"")
    except ValidationError:
        return None
    return next((history for history in histories if history.fold == fold), None)


def _first_difference(here: History, released: History) -> list[str]:
    """A line on the first number of two histories that differs: at the very start, or after many epochs?"""
    for epoch in range(min(len(here.loss), len(released.loss))):
        for name, series in here.series.items():
            ours, theirs = series[epoch], released.series.get(name, series)[epoch]
            if ours != theirs:
                return [f"  first difference: epoch {epoch}'s {name} is {ours:.9g} here, {theirs:.9g} released"]
    return []


def misreported(release: Release, results: Mapping[int, Mapping[str, bytes]]) -> list[str]:
    """Lines on what origin.json and the release's tables say, and its own, identical results do not.

    Cells are compared, and those alone that both versions have: a later version may write more of them.
    """
    made = [FoldResult.model_validate_json(files[fold_result_name(fold)]) for fold, files in results.items()]
    lines = []
    for result in made:
        said = release.origin.folds[result.fold].model_dump(include=set(_SAID))
        lines += _wrong_cell(f"{ORIGIN}, fold {result.fold}", said, result.model_dump(include=set(_SAID)))
        row = csv_rows(rows.csv_text([rows.fold_row(result)]))[0]
        lines += _wrong_cell(f"folds.csv, fold {result.fold}", _released_row(release, result.fold), row)
    if len(made) == len(release.origin.folds):
        lines += _wrong_cell("summary.json", _released_summary(release), flat(rows.summary(made)))
    return lines


def _wrong_cell(place: str, released: Mapping[str, Any] | None, here: Mapping[str, Any]) -> list[str]:
    """A line on the first cell that differs, where one does; or where there are none to compare."""
    if not released:
        return [f"{place}: it is not there, or cannot be read"]
    both = [name for name in here if name in released]
    wrong = [name for name in both if released[name] != here[name]]
    return [f"{place}: {name} is {str(released[name])[:40]}, the results give {here[name]}" for name in wrong[:1]]


def _released_row(release: Release, fold: int) -> dict[str, str] | None:
    try:
        found = csv_rows((release.text("folds.csv") or b"").decode())
    except ValueError:
        return None
    return next((row for row in found if row.get("fold") == str(fold)), None)


def _released_summary(release: Release) -> dict[str, Any] | None:
    try:
        value = parse_json(release.text("summary.json") or b"")
    except ValueError:
        return None
    return flat(value) if isinstance(value, dict) else None


def reasons(release: Release, plan: Plan, compared: Sequence[Row]) -> list[str]:
    """What may have made a difference, the likeliest first: code, versions, data, arithmetic, device."""
    found = []
    for row in compared:
        if row.what == "data" and sha256_of_file(plan.prepared / META) != release.origin.data.meta:
            found.append("data: the pickles are the released ones, but are prepared otherwise here")
        if row.differs:
            found.append(_reason(row, row.differs))
    return found or [
        "none that shows: code, versions, data and device are those that it records; others may have made its weights"
    ]


def _reason(row: Row, here: str) -> str:
    if row.what == "code":
        return f"code: {here}"
    if row.what == "arithmetic":
        return f"arithmetic: {row.released} holds for one kind of CPU, and this is {here}"
    return f"{row.what}: {here} here, {row.released} released"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
