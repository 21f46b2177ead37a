"""training_state.json: the small file that commits an epoch. What it does not name, with its sha256, does not count."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from audiocnn.checkpoints.folder import TRAINING_STATE, result_names
from audiocnn.checkpoints.verified import DamagedCheckpointError, read_verified, sha256
from audiocnn.files import canonical_json, write_json

FORMAT = 1


class TrainingState(TypedDict):
    """training_state.json. last_epoch: how many epochs are committed. files: sha256 of each file that counts."""

    last_fold: int
    last_epoch: int
    key: NotRequired[str]
    files: NotRequired[dict[str, str]]
    finished: NotRequired[bool]


def save_training_state_json(folder: Path, state: TrainingState) -> None:
    """Writes training_state.json with a checksum of its own; what it names counts from here on."""
    body = {"format": FORMAT, **state}
    write_json(folder / TRAINING_STATE, {**body, "sha256": sha256(canonical_json(body).encode())})


def load_training_state_json(folder: Path, fold: int) -> TrainingState:
    """The committed state of a fold: `{"last_fold": fold, "last_epoch": 0}` where it is absent or corrupt."""
    try:
        body: dict[str, Any] = json.loads((folder / TRAINING_STATE).read_bytes())
        checksum = body.pop("sha256")
        is_whole = checksum == sha256(canonical_json({**body, "format": FORMAT}).encode())
        if body.pop("format") == FORMAT and is_whole and _is_state(body):
            return cast(TrainingState, body)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # absent or corrupt: as if nothing had been committed
    return {"last_fold": fold, "last_epoch": 0}


def _is_state(body: dict[str, Any]) -> bool:
    """Whether what a checksum vouches for is of the right types: in a shared folder anybody may write both."""
    numbers, files = (body.get("last_fold"), body.get("last_epoch")), body.get("files", {})
    return all(type(number) is int for number in numbers) and isinstance(files, dict) and _are_texts(files.values())


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def read_finished(folder: Path, fold: int, key: str) -> dict[str, bytes] | None:
    """The two results of a finished fold, by file name, verified. None: not finished under this KEY, or damaged."""
    state = load_training_state_json(folder, fold)
    if not state.get("finished") or state.get("key") != key:
        return None
    try:
        return {name: read_verified(folder / name, state["files"][name]) for name in result_names(fold)}
    except (DamagedCheckpointError, KeyError):
        return None
