"""Where the report's numbers come from: params, dataset, commit and versions, and whether they belong together."""

import platform
from pathlib import Path
from typing import Any

import numpy as np

from audiocnn import __version__
from audiocnn.comparison.committed import PARAMS, comparison
from audiocnn.comparison.git import git
from audiocnn.config import hub_names
from audiocnn.config.data_params import source_kind, without_password
from audiocnn.config.dvc_lock import LOCK, Lock, is_code
from audiocnn.config.outs import FOLD_RESULTS, METRICS
from audiocnn.config.params import Params, read_params
from audiocnn.config.settings import validate
from audiocnn.data.prepared import Meta
from audiocnn.errors import UserError
from audiocnn.evaluation.fold_results import FoldResult, mixture, read_fold_result
from audiocnn.files import md5
from audiocnn.report.numbers import CrossValidation, Fold
from audiocnn.sound.leak_counts import LeakCounts

_Rows = list[tuple[str, str]]


def doubts(root: Path, lock: Lock, crossval: CrossValidation) -> list[str]:
    """Sentences on why the numbers may not be those of dvc.lock and params.yaml; none where all agrees.

    Raises UserError where params.yaml is missing or invalid.
    """
    if "aggregate" not in lock:
        return [f"There is no {LOCK} here that records results, so the code, params and data of these are not known."]
    found = []
    if changed := _other_than_locked(root, lock):
        differ = f"{', '.join(changed)} {'differs' if len(changed) == 1 else 'differ'}"
        found.append(f"These results are not the ones that {LOCK} records ({differ}): run 'dvc repro'.")
    trained = [params for name, params in _locked(lock, crossval).items() if name.startswith("train_fold@")]
    if any(params != trained[0] for params in trained):
        found.append(f"The folds in {LOCK} were not all trained with the same params: run 'dvc repro'.")
    if changed := _other_code(root, lock):
        found.append(f"Code has changed since these results were made ({', '.join(changed)}): run 'dvc repro'.")
    if read_params(root / PARAMS) != recorded_params(root, lock, crossval):
        found.append(f"{PARAMS} has changed since these results were made: the table below has the params of {LOCK}.")
    return found


def recorded_params(root: Path, lock: Lock, crossval: CrossValidation) -> Params:
    """The params that dvc.lock records for these results; those of params.yaml where it records none.

    Raises UserError where they are missing or invalid.
    """
    merged: dict[str, Any] = {}
    for params in _locked(lock, crossval).values():
        merged |= params
    return validate(Params, merged, LOCK) if "folds" in merged else read_params(root / PARAMS)


def param_rows(params: Params) -> _Rows:
    """Name and value of every param, defaults included, by dotted names."""
    rows: _Rows = [("folds", _text(params.folds))]
    for group in ("data", "model", "train"):
        for name, value in getattr(params, group).model_dump().items():
            rows.append((f"{group}.{name}", _public(value) if name == "source" else _text(value)))
    return rows


def dataset_name(crossval: CrossValidation, params: Params) -> str:
    """The dataset's name in the heading: a Hub repository's or a folder's, else its kind."""
    kind, source = crossval.summary["dataset"], params.data.source
    if kind == source_kind(source) == "folder":
        return Path(source).name
    if kind == "hub" and (name := hub_names.dataset_name(source)):
        return name.repository
    return f"the {kind}" if kind.startswith("demo") else f"a {kind} dataset"


def dataset_rows(crossval: CrossValidation, params: Params, meta: Meta | None, leaks: LeakCounts | None) -> _Rows:
    """Name and value of the dataset's source, sizes, leaks and digest. meta: None where data/prepared has another."""
    rows: _Rows = [("kind", crossval.summary["dataset"]), ("source", _public(params.data.source))]
    if meta is None:
        return [*rows, ("clips held out", f"{crossval.clips}"), ("classes", f"{len(crossval.class_names)}")]
    return [
        *rows,
        ("clips", f"{meta.clips}, of which {crossval.clips} were held out once"),
        ("classes", f"{len(meta.classes)}"),
        ("folds", f"{len(meta.folds)}, of which {len(crossval.folds)} were held out"),
        ("spectrogram", f"{meta.mels} mel bands by {meta.frames} frames"),
        ("leaks", "not looked for" if leaks is None else leaks.sentence),
        ("sha256 of features.npy", meta.digests["features"]),
    ]


def version_rows(root: Path, crossval: CrossValidation) -> _Rows:
    """Name and value of the commit, of how the results differ from it, and of the versions that made all this."""
    import matplotlib

    drawn = f"audiocnn {__version__}, matplotlib {matplotlib.__version__}, numpy {np.__version__}"
    rows = [("commit", _commit(root)), ("against the commit", comparison(root).replace("\n", "; "))]
    return [*rows, ("folds trained by", _trainers(root, crossval)), ("page made by", f"{drawn}, {_python()}")]


def _commit(root: Path) -> str:
    """The checked-out commit, its date, and whether tracked files differ from it."""
    try:
        described = git(root, "describe", "--always", "--tags", "--dirty", "--abbrev=12")
        day = git(root, "log", "-1", "--format=%cs")
    except UserError as error:
        return f"not known: {error}"
    if described is None or day is None:
        return "none: this is not a git repository with a commit"
    name = described.decode().strip()
    state = "with uncommitted changes" if name.endswith("-dirty") else "no uncommitted changes"
    return f"{name.removesuffix('-dirty')} of {day.decode().strip()}, {state}"


def _other_than_locked(root: Path, lock: Lock) -> list[str]:
    """The files in metrics/ whose bytes are not those that dvc.lock records."""
    recorded = {path: digest for path, digest in lock["aggregate"].outs.items() if path.startswith(f"{METRICS}/")}
    return sorted(path for path, digest in recorded.items() if _digest(root / path) != digest)


def _other_code(root: Path, lock: Lock) -> list[str]:
    """The code files whose bytes are not those that dvc.lock's stages ran with."""
    deps = {path: digest for stage in lock.values() for path, digest in stage.deps.items() if is_code(path)}
    return sorted(path for path, digest in deps.items() if _digest(root / path) != digest)


def _digest(path: Path) -> str | None:
    return md5(path.read_bytes()) if path.is_file() else None


def _trainers(root: Path, crossval: CrossValidation) -> str:
    """torch's version and the kind of device, from results/folds where they are those of this cross-validation."""
    try:
        results = [read_fold_result(fold.fold, root / FOLD_RESULTS) for fold in crossval.folds]
    except UserError:
        return f"not known here: {FOLD_RESULTS} lacks some of the folds"
    if not all(_is_of(result, fold, crossval) for result, fold in zip(results, crossval.folds, strict=True)):
        return f"not known here: {FOLD_RESULTS} is of another run"
    return mixture(results) or f"torch {results[0].torch} on {results[0].device}"


def _is_of(result: FoldResult, fold: Fold, crossval: CrossValidation) -> bool:
    same_clips = list(result.held_out.rows) == fold.rows.tolist() and list(result.classes) == crossval.class_names
    return same_clips and result.predictions.tolist() == fold.predicted.tolist()


def _locked(lock: Lock, crossval: CrossValidation) -> dict[str, dict[str, Any]]:
    """The params that dvc.lock records, by stage. DVC keeps those of folds that are no longer listed: without them."""
    names = ("fetch", "prepare", *(f"train_fold@{fold.fold}" for fold in crossval.folds), "aggregate")
    return {name: lock[name].params for name in names if name in lock}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {inner}" for name, inner in sorted(value.items())) or "none"
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _public(source: str) -> str:
    """A source without the path of somebody's folder, which may name a person."""
    path = Path(source)
    return without_password(source) if "://" in source or not path.is_absolute() else f"a folder called {path.name}"


def _python() -> str:
    return f"Python {platform.python_version()}"
