"""origin.json: what a release was made from, so that others can get it again. `audiocnn verify` reads it."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field

from audiocnn.checkpoints.key import PROJECT, code_digests, fold_key
from audiocnn.comparison.git import git
from audiocnn.config.data_params import CLIPS, SourceKind, source_kind
from audiocnn.config.dvc_lock import read_lock
from audiocnn.config.outs import MODELS, PREPARED, RAW, weights_name
from audiocnn.config.params import Params
from audiocnn.config.settings import Settings
from audiocnn.data.fetch import read_record
from audiocnn.data.prepared import META, read_meta
from audiocnn.errors import UserError
from audiocnn.evaluation.fold_results import FoldResult, fold_result_path
from audiocnn.files import sha256_of_file

ORIGIN = "origin.json"
_DECIDING = ("numpy", "safetensors", "scikit-learn", "scipy")  # beside torch and Python

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern="^[0-9a-f]{40}([0-9a-f]{24})?$")]  # it is shown in a command to type
Short = Annotated[str, Field(max_length=100)]  # whatever a stranger wrote there, it does not fill the terminal


class PinnedFile(Settings):
    """One file of the dataset; size in bytes."""

    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class DataOrigin(Settings):
    """The dataset: its files by name, where known; the Hub's repository and commit; sha256 of prepare's meta.json."""

    kind: SourceKind
    files: dict[str, PinnedFile]
    repository: Short | None = None
    commit: Commit | None = None
    meta: Sha256 | None = None


class CodeOrigin(Settings):
    """commit: of the clone, where it is one. changed: whether these files differed from it. files: by path."""

    commit: Commit | None
    changed: bool
    files: dict[Short, Sha256]


class FoldOrigin(Settings):
    """sha256 of a fold's two results; and what the result says of itself: KEY, torch's version, the kind of device."""

    weights: Sha256
    result: Sha256
    key: Sha256
    torch: Short
    device: Short


class Origin(Settings):
    """origin.json as a whole. lock: md5 of the outs in dvc.lock. versions: when published. folds: by fold index."""

    format: Literal[1] = 1
    params: Params
    data: DataOrigin
    code: CodeOrigin
    lock: dict[str, str]
    versions: dict[Short, Short]
    folds: dict[int, FoldOrigin]


def read_origin(params: Params, results: Sequence[FoldResult]) -> Origin:
    """What the run in this project was made from. Without data/raw it has no digests of files."""
    outs = {path: md5 for stage in read_lock(Path()).values() for path, md5 in stage.outs.items() if md5}
    return Origin(
        params=public_params(params),
        data=_data(params),
        code=_code(),
        lock=outs,
        versions=versions(),
        folds={result.fold: _fold(result) for result in results},
    )


def why_not_verifiable(origin: Origin, params: Params, results: Sequence[FoldResult]) -> str | None:
    """A line on why nobody will get these results again from what their origin says, or None.

    A fold's KEY is the digest of all that decided it, so it tells whether code, data and torch are still those.
    """
    if not origin.data.files or origin.data.meta is None:
        return f"nobody can verify this release: {RAW} and {PREPARED} are not here, so it does not pin its data"
    try:
        meta = read_meta(PREPARED)
    except UserError as error:
        return f"nobody can verify this release: {error}"
    for result in results:
        key = fold_key(result.fold, params.model, params.train, meta, result.device, origin.code.files)
        if result.key != key:
            return (
                f"whoever verifies this release may get other results: code, data or torch are not those that fold "
                f"{result.fold} was trained with; 'dvc repro' first makes them one"
            )
    return None


def _code() -> CodeOrigin:
    """The code that train_fold runs, and whether its clone's commit has it."""
    files = code_digests()
    commit = git(PROJECT, "rev-parse", "HEAD")
    changed = git(PROJECT, "status", "--porcelain", "--", *files)
    return CodeOrigin(commit=None if commit is None else commit.decode().strip(), changed=bool(changed), files=files)


def _data(params: Params) -> DataOrigin:
    record, meta = read_record(RAW), PREPARED / META
    # Names of recordings decide no result and may name people: nothing of them is published, not even a digest.
    files = {name: file for name, file in record.files.items() if name != CLIPS} if record else {}
    return DataOrigin(
        kind=source_kind(params.data.source),
        files={name: PinnedFile(**file.model_dump()) for name, file in files.items()},
        repository=None if record is None else record.repository,
        commit=None if record is None else record.commit,
        meta=sha256_of_file(meta) if meta.exists() else None,
    )


def _fold(result: FoldResult) -> FoldOrigin:
    return FoldOrigin(
        weights=sha256_of_file(MODELS / weights_name(result.fold)),
        result=sha256_of_file(fold_result_path(result.fold)),
        key=result.key,
        torch=result.torch,
        device=result.device,
    )


def public_params(params: Params) -> Params:
    """The params with `folder` for the path of somebody's folder."""
    if source_kind(params.data.source) != "folder":
        return params
    return params.model_copy(update={"data": params.data.model_copy(update={"source": "folder"})})


def params_yaml(params: Params) -> bytes:
    """params.yaml as values alone, defaults included: no comment and no path of its author's leaves with it."""
    text: str = yaml.safe_dump(public_params(params).model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text.encode()


def versions() -> dict[str, str]:
    """The versions here of Python and of the libraries that decide bytes of a result; each fold names its torch."""
    return {"python": ".".join(platform.python_version_tuple()[:2]), **{name: version(name) for name in _DECIDING}}
