"""PyTorch checkpoints: written whole, verified before they are read, and loaded without running code."""

import io
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol
from zipfile import BadZipFile

from audiocnn.checkpoints.verified import DamagedCheckpointError, read_verified, save_bytes

FORMAT = 1
# What torch.load raises on content that is not a checkpoint's.
_UNREADABLE = (RuntimeError, ValueError, LookupError, EOFError, AttributeError, TypeError, BadZipFile, UnpicklingError)


class Stateful(Protocol):
    """What a checkpoint saves and restores: a model, an optimizer, a scheduler, the progress of a fold."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


def save_pytorch_checkpoint(path: Path, parts: Mapping[str, Stateful], epoch: int, val_loss: float | None) -> str:
    """Writes the state of all parts after `epoch` (counted from 0) and returns the file's sha256.

    val_loss: None where nothing validates.
    """
    states = {name: part.state_dict() for name, part in parts.items()}
    return save_pytorch(path, {"format": FORMAT, "epoch": epoch, "val_loss": val_loss, "parts": states})


def load_pytorch_checkpoint(path: Path, sha256: str, parts: Mapping[str, Stateful]) -> tuple[int, float | None]:
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


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
