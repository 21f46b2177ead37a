"""Whether the weights in one place are of one run. While folds train, some are of the new run and some of the last."""

import sys
from collections.abc import Mapping
from pathlib import Path

from audiocnn.config.dvc_lock import Stage, read_lock
from audiocnn.errors import UserError
from audiocnn.files import md5
from audiocnn.model.weights import WeightsHeader


def without_unlisted(paths: Mapping[int, Path]) -> dict[int, Path]:
    """Weights by fold, without those of folds that the last run of their project does not list: DVC leaves them there.

    Says so on stderr.
    """
    aggregate = read_lock(_project(paths)).get("aggregate")
    listed = aggregate.params.get("folds") if aggregate else None
    kept = {fold: path for fold, path in paths.items() if not isinstance(listed, list) or fold in listed}
    if not kept or len(kept) == len(paths):
        return dict(paths)
    left_out = ", ".join(str(fold) for fold in paths if fold not in kept)
    print(f"left out, since the last run does not list them: weights of folds {left_out}", file=sys.stderr)
    return kept


def check_one_run(paths: Mapping[int, Path], headers: Mapping[int, WeightsHeader | None], place: str) -> None:
    """Raises UserError where weights of a place, by fold, are of more than one run.

    Those differ in the params that their headers name; or, in a project, in the code, data or params that dvc.lock has
    for them, where their bytes are those that it records.
    """
    runs: dict[object, list[int]] = {}
    lock = read_lock(_project(paths))
    for fold, path in paths.items():
        header = headers[fold]
        run = (header and (header.params_digest, header.validation, header.source), _recorded(path, fold, lock))
        runs.setdefault(repr(run), []).append(fold)
    if len(runs) > 1:
        groups = " and ".join(", ".join(map(str, folds)) for folds in runs.values())
        raise UserError(
            f"{place} holds networks of {len(runs)} runs (folds {groups}), which are not mixed: wait until 'dvc repro' "
            "has ended, run it, or ask one fold alone with --fold K."
        )


def _recorded(path: Path, fold: int, lock: Mapping[str, Stage]) -> object:
    """The inputs that dvc.lock records for a weights file; None where these bytes are not the recorded ones."""
    stage = lock.get(f"train_fold@{fold}")
    if stage is None or md5(path.read_bytes()) not in stage.outs.values():
        return None
    return sorted(stage.deps.items()), sorted(stage.params.items())


def _project(paths: Mapping[int, Path]) -> Path:
    """The folder whose dvc.lock tells of weights in models/ there."""
    return next(iter(paths.values())).parent.parent
