"""origin.json: what a release was made from, so that others can get it again. `audiocnn verify` reads it."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field

from audiocnn.checkpoints.key import code_digests, torch_version
from audiocnn.comparison.git import git
from audiocnn.config.data_params import SourceKind, source_kind
from audiocnn.config.dvc_lock import read_lock
from audiocnn.config.outs import MODELS, PREPARED, RAW, weights_name
from audiocnn.config.params import Params
from audiocnn.config.settings import Settings
from audiocnn.data.fetch import FileRecord, read_record
from audiocnn.data.prepared import META
from audiocnn.evaluation.fold_results import FoldResult, fold_result_path
from audiocnn.files import sha256_of_file

ORIGIN = "origin.json"
_DECIDING = ("numpy", "safetensors", "scikit-learn", "scipy")  # beside torch and Python: who else decides bytes

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class DataOrigin(Settings):
    """The dataset: its files by name, where known; the Hub's repository and commit; sha256 of prepare's meta.json."""

    kind: SourceKind
    files: dict[str, FileRecord]
    repository: str | None = None
    commit: str | None = None
    meta: Sha256 | None = None


class CodeOrigin(Settings):
    """commit: of the clone, where it is one. changed: whether tracked files differed from it. files: by path."""

    commit: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None  # it is shown in a command to type
    changed: bool
    files: dict[str, Sha256]


class FoldDigests(Settings):
    """sha256 of a fold's two results."""

    weights: Sha256
    result: Sha256


class Origin(Settings):
    """origin.json as a whole. lock: md5 of the outs in dvc.lock. folds: digests by fold index."""

    format: Literal[1] = 1
    params: Params
    data: DataOrigin
    code: CodeOrigin
    lock: dict[str, str]
    versions: dict[str, str]
    device: str
    folds: dict[int, FoldDigests]


def read_origin(params: Params, results: Sequence[FoldResult]) -> Origin:
    """What the run in this project was made from. Without data/raw it has no digests of files."""
    commit = git(Path(), "rev-parse", "HEAD")
    changed = git(Path(), "status", "--porcelain", "--untracked-files=no")
    outs = {path: md5 for stage in read_lock(Path()).values() for path, md5 in stage.outs.items() if md5 is not None}
    return Origin(
        params=public_params(params),
        data=_data(params),
        code=CodeOrigin(
            commit=None if commit is None else commit.decode().strip(), changed=bool(changed), files=code_digests()
        ),
        lock=outs,
        versions=versions(),
        device=results[0].device,
        folds={
            result.fold: FoldDigests(
                weights=sha256_of_file(MODELS / weights_name(result.fold)),
                result=sha256_of_file(fold_result_path(result.fold)),
            )
            for result in results
        },
    )


def _data(params: Params) -> DataOrigin:
    record, meta = read_record(RAW), PREPARED / META
    return DataOrigin(
        kind=source_kind(params.data.source),
        files={} if record is None else record.files,
        repository=None if record is None else record.repository,
        commit=None if record is None else record.commit,
        meta=sha256_of_file(meta) if meta.exists() else None,
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
    """The versions here of Python and of the libraries that decide bytes of a result, by name."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "torch": torch_version(), **{name: version(name) for name in _DECIDING}}
