"""Uploads as training sees them: which files wait, and a process of their own that uploads them. Never in the way.

What is uploaded is found by looking: files that a fold's training_state.json has committed and the ledger beside it,
uploaded.json, does not list. So a kill anywhere loses nothing, and nothing here needs huggingface_hub.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiocnn.checkpoint import load_training_state_json, result_names
from audiocnn.errors import Stopped
from audiocnn.files import write_json
from audiocnn.runtime import HubSettings
from audiocnn.settings import Settings

DRAIN = 30.0  # seconds that the last pass may take once training is over
_DEAD = 600.0  # seconds for which a Hub that was found dead is left alone
_LEDGER = "uploaded.json"
_STATE = "hub.json"


class UploadJob(Settings):
    """What the uploading process is told, as JSON on its command line: folders are checkpoint folders by fold."""

    hub: HubSettings
    root: str
    folders: dict[int, str]


@contextmanager
def uploads(hub: HubSettings, root: Path, folders: Mapping[int, Path]) -> Iterator[None]:
    """Uploads what appears in the folds' checkpoint folders, in a process beside the code in the `with` block.

    Without `hub.model_repo` nothing happens. Leaving the block takes at most DRAIN seconds, after a signal none; what
    is not uploaded by then is said in one line.
    """
    if not hub.model_repo or hub.upload == "none":
        yield
        return
    job = UploadJob(hub=hub, root=str(root), folders={fold: str(folder) for fold, folder in folders.items()})
    # A process and not a thread: it can be ended whatever the network does, and it outlives a kill of ours long enough
    # for its last pass, which it makes when its standard input ends. Its own group keeps Ctrl-C from it.
    process = subprocess.Popen(
        [sys.executable, "-m", "audiocnn.uploader", job.model_dump_json()], stdin=subprocess.PIPE, process_group=0
    )
    drain = DRAIN + 5  # it ends itself after DRAIN; the rest is for an interpreter on a busy machine
    try:
        yield
    except (Stopped, KeyboardInterrupt):
        drain = 0.0
        raise
    finally:
        _end(process, drain)
        _say_what_waits(hub, folders)


def _end(process: "subprocess.Popen[bytes]", drain: float) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(drain)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _say_what_waits(hub: HubSettings, folders: Mapping[int, Path]) -> None:
    count = sum(len(waiting(folder, fold, hub)) for fold, folder in folders.items())
    if count:
        print(f"hub: files that are not in {hub.model_repo} yet: {count}; 'audiocnn upload' uploads them", flush=True)


def waiting(folder: Path, fold: int, hub: HubSettings) -> dict[str, str]:
    """The committed files of a fold's checkpoint folder that are yet to be uploaded: sha256 by name."""
    ledger = _read_ledger(folder, hub)
    return {name: sha for name, sha in uploadable(folder, fold, hub).items() if ledger.get(name) != sha}


def uploadable(folder: Path, fold: int, hub: HubSettings) -> dict[str, str]:
    """The committed files of a fold's checkpoint folder that the settings want in the repository: sha256 by name."""
    files = load_training_state_json(folder, fold).get("files", {})
    best, _ = result_names(fold)
    return {name: sha for name, sha in files.items() if name == best or _is_wanted_epoch(name, hub)}


def must_stay(name: str, folder: Path, hub: HubSettings) -> bool:
    """Whether a checkpoint file may not be deleted, since its upload is still to come."""
    return bool(hub.model_repo) and _is_wanted_epoch(name, hub) and name not in _read_ledger(folder, hub)


def _is_wanted_epoch(name: str, hub: HubSettings) -> bool:
    return hub.upload == "epochs" and name.startswith("epoch_") and name.endswith(".safetensors")


def path_in_repo(name: str, fold: int) -> str:
    """Where a checkpoint file goes: fold_F/epoch_E.safetensors, model_fold_F_best.safetensors at the root."""
    return f"fold_{fold}/{name}" if name.startswith("epoch_") else name


def record_uploaded(folder: Path, hub: HubSettings, files: Mapping[str, str]) -> None:
    """Adds files (sha256 by name) to a checkpoint folder's ledger. One process at a time; the caller sees to that."""
    write_json(folder / _LEDGER, {"repository": hub.model_repo, "files": {**_read_ledger(folder, hub), **files}})


def _read_ledger(folder: Path, hub: HubSettings) -> dict[str, str]:
    value = _read_json(folder / _LEDGER)
    return dict(value["files"]) if value.get("repository") == hub.model_repo else {}


def remember_dead(root: Path) -> None:
    """Notes beside the checkpoints that the Hub does not answer, so that not every fold waits to find out."""
    write_json(root / _STATE, {**_read_json(root / _STATE), "dead_until": time.time() + _DEAD})


def is_dead(root: Path) -> bool:
    """Whether the Hub was found dead in the last ten minutes."""
    return time.time() < float(_read_json(root / _STATE).get("dead_until", 0)) <= time.time() + _DEAD


def record_commit(root: Path) -> None:
    """Notes a commit, for the rate limit that all processes on these checkpoints share."""
    write_json(root / _STATE, {"commits": [*recent_commits(root), time.time()]})


def recent_commits(root: Path) -> list[float]:
    """When commits were made in the last hour, in seconds since 1970, oldest first."""
    commits: list[float] = _read_json(root / _STATE).get("commits", [])
    return [when for when in commits if 0 <= time.time() - when < 3600]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}  # these files only save work: without them it is done again
    return value if isinstance(value, dict) else {}
