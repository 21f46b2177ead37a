"""Committing an epoch to a fold's checkpoint folder, and resuming from the last committed one that is usable."""

from torch import Tensor

from audiocnn.checkpoints.folder import (
    BEST_MODEL,
    TRAINING_STATE,
    checkpoint_name,
    checkpointed_epochs,
    delete_uncommitted,
    epoch_of,
    epoch_weights_name,
)
from audiocnn.checkpoints.pytorch import FORMAT, load_pytorch, load_pytorch_checkpoint, save_pytorch
from audiocnn.checkpoints.pytorch import save_pytorch_checkpoint as save_checkpoint
from audiocnn.checkpoints.training_state import load_training_state_json, save_training_state_json
from audiocnn.checkpoints.verified import DamagedCheckpointError, save_bytes
from audiocnn.model.weights import weights_bytes
from audiocnn.training.state import FoldJob, FoldState, Observer


def commit_epoch(state: FoldState) -> None:
    """Writes the epoch just recorded; training_state.json, written last, commits it. Deletes only after that."""
    job, progress = state.job, state.progress
    epoch, best = progress.epochs_done - 1, progress.best_epoch
    files = dict(state.committed.get("files", {}))
    name, val_loss = checkpoint_name(epoch), progress.metrics(epoch).get("val_loss")
    files[name] = save_checkpoint(job.folder / name, state.parts, epoch, val_loss)
    name = epoch_weights_name(epoch)
    files[name] = save_bytes(job.folder / name, weights_bytes(state.measured, state.header(epoch)))
    if epoch == best:
        content = {"format": FORMAT, "epoch": epoch, "parts": {state.measured_part: state.measured.state_dict()}}
        files[BEST_MODEL] = save_pytorch(job.folder / BEST_MODEL, content)
    # best_before: resuming after epoch - 1 needs it. None: files that belong to no epoch.
    needed = {None, epoch, epoch - 1, best, progress.best_before}
    files = {name: sha for name, sha in files.items() if epoch_of(name) in needed or job.keep_file(name)}
    state.committed = {
        "last_fold": job.fold,
        "last_epoch": epoch + 1,
        "key": job.key,
        "files": files,
        "finished": False,
    }
    save_training_state_json(job.folder, state.committed)
    delete_uncommitted(job.folder, files)


def resume(job: FoldJob, observer: Observer) -> FoldState:
    """The state after the last committed epoch that is usable, or a new one. The observer gets a line on all damage."""
    committed = load_training_state_json(job.folder, job.fold)
    state_file = job.folder / TRAINING_STATE
    if committed.get("key") != job.key and state_file.exists():
        observer.say(f"{state_file} is damaged or of another version, so no checkpoint counts: training starts over")
        return FoldState(job)
    files = committed.get("files", {})
    epochs = checkpointed_epochs(files)
    for epoch in epochs:
        state = FoldState(job)
        name = checkpoint_name(epoch)
        try:
            load_pytorch_checkpoint(job.folder / name, files[name], state.parts)
            state.committed = {**committed, "files": _up_to(epoch, files)}
            load_best_model(state)
        except DamagedCheckpointError as error:
            observer.say(f"{error}; trying the checkpoint before it")
            continue
        observer.say(f"resuming after epoch {epoch}")
        delete_uncommitted(job.folder, files)  # after a kill between a commit and its deletions
        return state
    if epochs:
        observer.say("no usable checkpoint is left: training starts over")
    return FoldState(job)


def _up_to(last: int, files: dict[str, str]) -> dict[str, str]:
    """The files that belong to no epoch, or to one up to `last`."""
    return {name: sha for name, sha in files.items() if (epoch := epoch_of(name)) is None or epoch <= last}


def load_best_model(state: FoldState) -> dict[str, Tensor]:
    """The weights of the best epoch so far, from its epoch file or best_model_this_fold.pt.

    Raises DamagedCheckpointError where neither is usable.
    """
    folder, best = state.job.folder, state.progress.best_epoch
    files = state.committed.get("files", {})
    damage = DamagedCheckpointError(f"the best model of {folder} (epoch {best}) is missing")
    for name in (checkpoint_name(best), BEST_MODEL):
        try:
            saved = load_pytorch(folder / name, files.get(name, ""))
            if saved["epoch"] == best:
                weights: dict[str, Tensor] = saved["parts"][state.measured_part]
                return weights
        except DamagedCheckpointError as error:
            damage = error
    raise damage
