"""A fold's checkpoint folder: files that are whole or not there, and one small file that commits an epoch.

checkpoints/fold_k-KEY/ holds `epoch_E.pt` (all that the rest of the run depends on), `epoch_E.safetensors` (the weights
alone), `best_model_this_fold.pt`, and `training_state.json`, written last: only what it names, with its sha256, counts.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NotRequired, Protocol, TypedDict, cast
from zipfile import BadZipFile

from audiocnn.files import canonical_json, write_atomically, write_json

FORMAT = 1
STATE_FILE = "training_state.json"
BEST_FILE = "best_model_this_fold.pt"
_EPOCH_FILE = re.compile(r"epoch_(\d+)\.(pt|safetensors)")
# What torch.load raises on content that is not a checkpoint's.
_UNREADABLE = (RuntimeError, ValueError, LookupError, EOFError, AttributeError, TypeError, BadZipFile, UnpicklingError)


class DamagedCheckpointError(Exception):
    """A checkpoint file that cannot be used. Its text says which file and what is wrong with it."""


class Stateful(Protocol):
    """What a checkpoint saves and restores: a model, an optimizer, a scheduler, the progress of a run."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


class TrainingState(TypedDict):
    """training_state.json. last_epoch is the number of epochs done; files maps each file that counts to its sha256."""

    last_fold: int
    last_epoch: int
    key: NotRequired[str]
    files: NotRequired[dict[str, str]]
    finished: NotRequired[bool]


def fold_folder(root: Path, fold: int, key: str) -> Path:
    """The checkpoint folder of a fold under its KEY; 16 hex digits name it, training_state.json holds all 64."""
    return root / f"fold_{fold}-{key[:16]}"


def save_training_state_json(folder: Path, state: TrainingState) -> None:
    """Writes training_state.json with a checksum of its own; what it names counts from here on."""
    body = {"format": FORMAT, **state}
    write_json(folder / STATE_FILE, {**body, "sha256": _sha256(canonical_json(body).encode())})


def load_training_state_json(folder: Path, fold: int) -> TrainingState:
    """The committed state of a fold: `{"last_fold": fold, "last_epoch": 0}` where it is absent or corrupt."""
    try:
        body: dict[str, Any] = json.loads((folder / STATE_FILE).read_bytes())
        checksum = body.pop("sha256")
        if body.pop("format") == FORMAT and checksum == _sha256(canonical_json({"format": FORMAT, **body}).encode()):
            return cast(TrainingState, body)  # the checksum vouches for what is in it
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # absent or corrupt: as if nothing had been committed
    return {"last_fold": fold, "last_epoch": 0}


def save_pytorch_checkpoint(path: Path, parts: Mapping[str, Stateful], epoch: int, val_loss: float) -> str:
    """Writes the state of all parts after `epoch` (counted from 0) and returns the file's sha256."""
    states = {name: part.state_dict() for name, part in parts.items()}
    return save_pytorch(path, {"format": FORMAT, "epoch": epoch, "val_loss": val_loss, "parts": states})


def load_pytorch_checkpoint(path: Path, sha256: str, parts: Mapping[str, Stateful]) -> tuple[int, float]:
    """Restores all parts; returns the epoch to start from and the validation loss of the one before it.

    Raises DamagedCheckpointError. What the parts hold after that is undefined.
    """
    checkpoint = load_pytorch(path, sha256)
    try:
        for name, part in parts.items():
            part.load_state_dict(checkpoint["parts"][name])
        return checkpoint["epoch"] + 1, checkpoint["val_loss"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DamagedCheckpointError(f"{path} does not fit this version ({_first_line(error)})") from None


def save_pytorch(path: Path, value: dict[str, Any]) -> str:
    """Writes a dict of tensors and plain values atomically and returns the file's sha256."""
    import torch

    buffer = io.BytesIO()  # torch.save's bytes depend on a file's name, so it gets none
    torch.save(value, buffer)
    return save_bytes(path, buffer.getvalue())


def load_pytorch(path: Path, sha256: str) -> dict[str, Any]:
    """Reads what save_pytorch wrote, once its sha256 is verified; runs no code. Raises DamagedCheckpointError."""
    import torch

    content = read_verified(path, sha256)
    try:
        value = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise DamagedCheckpointError(f"{path} cannot be read ({_first_line(error)})") from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise DamagedCheckpointError(f"{path} is from another version")
    return value


def save_bytes(path: Path, content: bytes) -> str:
    """Writes a file atomically and returns its sha256."""
    write_atomically(path, content)
    return _sha256(content)


def read_verified(path: Path, sha256: str) -> bytes:
    """A file's bytes. Raises DamagedCheckpointError where it is missing or not the file that was committed."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DamagedCheckpointError(f"{path} is missing") from None
    if _sha256(content) != sha256:
        raise DamagedCheckpointError(f"{path} is damaged ({len(content)} bytes, another sha256 than the one committed)")
    return content


def read_finished(folder: Path, fold: int, key: str) -> dict[str, bytes] | None:
    """The results of a finished fold, by file name, verified; None where it is not finished or a result is damaged."""
    state = load_training_state_json(folder, fold)
    if not state.get("finished") or state.get("key") != key:
        return None
    try:
        return {name: read_verified(folder / name, state["files"][name]) for name in result_names(fold)}
    except (DamagedCheckpointError, KeyError):
        return None


def result_names(fold: int) -> tuple[str, str]:
    """The two files that a finished fold leaves, in its checkpoint folder and, published, as the stage's outs."""
    return f"model_fold_{fold}_best.safetensors", f"fold_{fold}.json"


def epoch_of(name: str) -> int | None:
    """The epoch that an epoch file belongs to, by its name; None for other files."""
    match = _EPOCH_FILE.fullmatch(name)
    return int(match[1]) if match else None


def delete_uncommitted(folder: Path, files: Mapping[str, str]) -> None:
    """Deletes epoch files that the committed state no longer names. Call it after the commit, never before."""
    for path in folder.glob("epoch_*"):
        if epoch_of(path.name) is not None and path.name not in files:
            path.unlink(missing_ok=True)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
