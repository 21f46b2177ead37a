"""dvc.lock: which code, params and data each stage ran with, and what came out. Read here, and only here."""

from pathlib import Path
from typing import Any, NamedTuple

from audiocnn.config.outs import METRICS, PREPARED, RAW
from audiocnn.config.settings import flat, has_conflict, parse_yaml
from audiocnn.errors import UserError

LOCK = "dvc.lock"
_PARAMS = "params.yaml"


class Stage(NamedTuple):
    """A stage of a dvc.lock: the digests of its deps and outs by path, and its params out of params.yaml."""

    deps: dict[str, str | None]
    outs: dict[str, str | None]
    params: dict[str, Any]


Lock = dict[str, Stage]


def dvc_root(folder: Path) -> Path:
    """Where DVC's folder .dvc lies: this folder or the nearest one above it; this one where there is none."""
    here = folder.resolve()
    return next((place for place in (here, *here.parents) if (place / ".dvc").is_dir()), here)


def read_lock(root: Path) -> Lock:
    """The stages in a project's dvc.lock; none where no lock can be read. Raises UserError as parse_lock."""
    try:
        return parse_lock((root / LOCK).read_bytes())
    except OSError:
        return {}


def parse_lock(content: bytes) -> Lock:
    """The stages in a dvc.lock's content; none where it is not one. Raises UserError where it holds a conflict."""
    check_settled(content, LOCK)
    try:
        return _stages(parse_yaml(content))
    except ValueError:
        return {}


def check_settled(content: bytes, name: str) -> None:
    """Raises UserError where dvc.lock or a file in metrics/ holds a merge conflict: DVC makes them, no editor."""
    if has_conflict(content):
        raise UserError(
            f"{name} holds a git merge conflict: run 'git checkout --ours {LOCK} {METRICS}', then 'dvc repro', and "
            "commit what it makes."
        )


def inputs(lock: Lock) -> dict[str, Any]:
    """What the results of a lock depend on, by name: params by their dotted names, digests of code and of data/raw."""
    found: dict[str, Any] = {}
    for stage in lock.values():
        found |= {path: digest for path, digest in stage.deps.items() if is_code(path)}
        found |= {path: digest for path, digest in stage.outs.items() if path == RAW.as_posix()}
        found |= flat(stage.params)
    return found


def is_code(name: str) -> bool:
    """Whether an input, by name, is a code file."""
    return name.endswith(".py")


def prepared_digests(lock: Lock) -> set[str]:
    """The digests of the data/prepared that the folds were trained on: one, unless only some were trained again."""
    digests = {stage.deps.get(PREPARED.as_posix()) for stage in lock.values()}
    return {digest for digest in digests if digest is not None}


def _stages(value: Any) -> Lock:
    """All but the folds that aggregate did not read: DVC keeps the stages of folds that are no longer listed."""
    try:
        stages = {str(name): _stage(entry) for name, entry in value["stages"].items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
    folds = stages["aggregate"].params.get("folds") if "aggregate" in stages else None
    return {name: stage for name, stage in stages.items() if not _is_left_over(name, folds)}


def _stage(entry: dict[str, Any]) -> Stage:
    deps, outs = ({str(file["path"]): file.get("md5") for file in entry.get(key, ())} for key in ("deps", "outs"))
    return Stage(deps, outs, dict(entry.get("params", {}).get(_PARAMS, {})))


def _is_left_over(stage: str, folds: Any) -> bool:
    name, _, fold = stage.partition("@")
    return name == "train_fold" and isinstance(folds, list) and fold not in map(str, folds)
