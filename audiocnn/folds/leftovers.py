"""Checkpoint folders of no current KEY: other params, code or data made them, and nothing resumes from them now."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from audiocnn.checkpoints.lock import fold_lock, is_locked
from audiocnn.config.all_clips import ALL_CLIPS
from audiocnn.folds.all_clips import begun_plan
from audiocnn.folds.plan import Plan

_FOLDER = re.compile(r"fold_(-1|\d{1,4})-[0-9a-f]{16}")  # -1: the network on all clips


def leftovers(plan: Plan, folds: Sequence[int]) -> list[Path]:
    """The folders in a plan's checkpoint root that belong to none of its dataset's folds, and that nobody trains in.

    folds: of the cross-validation that says how long the network on all clips trains, whose folder is none of them.
    """
    current = {plan.folder(fold) for fold in range(len(plan.meta.folds))}
    if own := begun_plan(plan, folds):
        current.add(own.folder(ALL_CLIPS))
    found = sorted(path for path in plan.root.glob("fold_*") if _FOLDER.fullmatch(path.name))
    return [path for path in found if _is_folder(path) and path not in current and not is_locked(path)]


def size(folder: Path) -> int:
    """The bytes of a folder's files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def remove(folder: Path) -> bool:
    """Removes a folder, unless somebody trains in it by now. Returns whether it is gone."""
    with fold_lock(folder, timeout=0) as is_ours:
        if is_ours:
            shutil.rmtree(folder)
        return is_ours


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()  # a link leads to somebody else's files
