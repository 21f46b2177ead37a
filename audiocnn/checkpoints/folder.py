"""A fold's checkpoint folder, checkpoints/fold_k-KEY/: the name of every file in it, and who writes which."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from audiocnn.config.outs import fold_result_name, weights_name

# Of the training. Only what training_state.json names, with its sha256, counts.
TRAINING_STATE = "training_state.json"  # written last: it commits an epoch
BEST_MODEL = "best_model_this_fold.pt"  # the weights of the best epoch
_EPOCH = re.compile(r"epoch_(\d+)\.(pt|safetensors)")  # all that the rest depends on; the weights alone

# Of those who run and watch the training. No result depends on these.
LOCK = "lock"  # who holds it trains the fold
LOCK_HOLDER = "holder.json"  # who that is, or was
PROGRESS = "progress.json"  # where the fold is inside its epoch
FAILURE = "error.json"  # the sentence that it ended with
TRAINED_BY = "trained_by"  # the dvc run that had it trained last
UPLOADED = "uploaded.json"  # the files that the Hub has


def fold_folder(root: Path, fold: int, key: str) -> Path:
    """The checkpoint folder of a fold under its KEY; 16 hex digits name it, training_state.json holds all 64."""
    return root / f"fold_{fold}-{key[:16]}"


def checkpoint_name(epoch: int) -> str:
    """The file with the state of model, optimizer, scheduler and progress after an epoch."""
    return f"epoch_{epoch}.pt"


def epoch_weights_name(epoch: int) -> str:
    """The file with an epoch's weights alone."""
    return f"epoch_{epoch}.safetensors"


def epoch_of(name: str) -> int | None:
    """The epoch that an epoch file belongs to, by its name; None for other files."""
    match = _EPOCH.fullmatch(name)
    return int(match[1]) if match else None


def is_epoch_weights(name: str) -> bool:
    """Whether a file is called as an epoch's weights."""
    match = _EPOCH.fullmatch(name)
    return match is not None and match[2] == "safetensors"


def checkpointed_epochs(files: Mapping[str, str]) -> list[int]:
    """The epochs that files (by name) hold a checkpoint of, latest first."""
    epochs = {epoch_of(name) for name in files if name.endswith(".pt")} - {None}
    return sorted((epoch for epoch in epochs if epoch is not None), reverse=True)


def result_names(fold: int) -> tuple[str, str]:
    """The two files of a finished fold, its weights and its result, called as the stage's outs that they become."""
    return weights_name(fold), fold_result_name(fold)


def delete_uncommitted(folder: Path, files: Mapping[str, str]) -> None:
    """Deletes the epoch files that the committed state no longer names. Call it after the commit, never before."""
    for path in folder.glob("epoch_*"):
        if epoch_of(path.name) is not None and path.name not in files:
            path.unlink(missing_ok=True)


def empty_folder(folder: Path) -> None:
    """Deletes everything but the lock, which the caller holds."""
    for path in folder.iterdir():
        if path.name not in (LOCK, LOCK_HOLDER):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
