"""What is uploaded of the folds' checkpoints, and what is yet to be. No huggingface_hub here.

What waits is found by looking: files that a fold's training_state.json has committed and the ledger beside it,
uploaded.json, does not list. So a kill anywhere loses nothing.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiocnn.checkpoints.folder import UPLOADED, epoch_of, is_epoch_weights, result_names
from audiocnn.checkpoints.training_state import load_training_state_json
from audiocnn.config.runtime import HubSettings
from audiocnn.config.settings import parse_json
from audiocnn.files import write_json

_COMMITS = "hub_commits.json"  # beside the checkpoints: when commits were made, for the Hub's rate limit


def is_wanted(hub: HubSettings) -> bool:
    """Whether the settings ask for uploads at all."""
    return bool(hub.model_repo) and hub.upload != "none"


def waiting(folder: Path, fold: int, hub: HubSettings) -> dict[str, str]:
    """The committed files of a fold's checkpoint folder that are yet to be uploaded: sha256 by name."""
    uploaded = _uploaded(folder, hub)
    return {name: sha for name, sha in uploadable(folder, fold, hub).items() if uploaded.get(name) != sha}


def uploadable(folder: Path, fold: int, hub: HubSettings) -> dict[str, str]:
    """The committed files of a fold's checkpoint folder that the settings want in the repository: sha256 by name."""
    files = load_training_state_json(folder, fold).get("files", {})
    best, _ = result_names(fold)
    return {name: sha for name, sha in files.items() if name == best or _is_wanted_epoch(name, hub)}


def must_stay(name: str, folder: Path, hub: HubSettings) -> bool:
    """Whether a checkpoint file may not be deleted, since its upload is still to come."""
    return bool(hub.model_repo) and _is_wanted_epoch(name, hub) and name not in _uploaded(folder, hub)


def _is_wanted_epoch(name: str, hub: HubSettings) -> bool:
    return hub.upload == "epochs" and is_epoch_weights(name)


def path_in_repo(name: str, fold: int) -> str:
    """Where a checkpoint file goes: fold_F/epoch_E.safetensors, model_fold_F_best.safetensors at the root."""
    return name if epoch_of(name) is None else f"fold_{fold}/{name}"


def record_uploaded(folder: Path, hub: HubSettings, files: Mapping[str, str]) -> None:
    """Adds files (sha256 by name) to a folder's ledger. The caller sees to it that one process at a time does."""
    write_json(folder / UPLOADED, {"repository": hub.model_repo, "files": {**_uploaded(folder, hub), **files}})


def _uploaded(folder: Path, hub: HubSettings) -> dict[str, str]:
    value = _read_json(folder / UPLOADED)
    files = value.get("files") if value.get("repository") == hub.model_repo else None
    return dict(files) if isinstance(files, dict) else {}


def record_commit(root: Path) -> None:
    """Notes a commit, for the rate limit that all processes on these checkpoints share."""
    write_json(root / _COMMITS, {"commits": [*recent_commits(root), time.time()]})


def recent_commits(root: Path) -> list[float]:
    """When commits were made in the last hour, in seconds since 1970, oldest first."""
    commits = _read_json(root / _COMMITS).get("commits")
    times = [when for when in commits if type(when) in (int, float)] if isinstance(commits, list) else []
    now = time.time()
    return [when for when in times if now - 3600 < when <= now]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}  # these files only save work: without them it is done again
    return value if isinstance(value, dict) else {}
