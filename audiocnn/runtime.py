"""runtime.yaml: how to run, never what comes out. No DVC stage lists it, so it re-trains nothing."""

import os
from pathlib import Path
from typing import Literal

from audiocnn.settings import Settings, read_settings

RUNTIME_FILE = Path("runtime.yaml")


class CheckpointSettings(Settings):
    """keep: `last` keeps the last two epochs and the best, `all` every epoch."""

    keep: Literal["last", "all"] = "last"


class Runtime(Settings):
    """runtime.yaml as a whole."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    checkpoints: CheckpointSettings = CheckpointSettings()


def read_runtime(path: Path = RUNTIME_FILE) -> Runtime:
    """runtime.yaml, validated; the defaults where there is none. Raises UserError."""
    return read_settings(path, Runtime) if path.exists() else Runtime()


def checkpoint_root() -> Path:
    """Where checkpoints live: `AUDIOCNN_CHECKPOINTS`, or checkpoints/ here.

    `dvc exp run --temp` and queued runs work in a copy of the project that lacks ignored folders; the variable,
    as an absolute path, gives them the checkpoints of the project itself.
    """
    return Path(os.environ.get("AUDIOCNN_CHECKPOINTS") or "checkpoints")
