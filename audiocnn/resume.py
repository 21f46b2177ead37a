"""Committing an epoch to a fold's checkpoint folder, and going on from the last one that is usable."""

from torch import Tensor

from audiocnn import checkpoint
from audiocnn.checkpoint import DamagedCheckpointError
from audiocnn.run import FoldJob, Observer, Run
from audiocnn.weights import weights_bytes


def commit_epoch(job: FoldJob, run: Run) -> None:
    """Writes the epoch just recorded; training_state.json, written last, commits it. Deletes only after that."""
    epoch, best = run.progress.epochs_done - 1, run.progress.best_epoch
    files = dict(run.state.get("files", {}))
    path = job.folder / f"epoch_{epoch}.pt"
    files[path.name] = checkpoint.save_pytorch_checkpoint(path, run.parts, epoch, run.progress.history["val_loss"][-1])
    weights = job.folder / f"epoch_{epoch}.safetensors"
    files[weights.name] = checkpoint.save_bytes(weights, weights_bytes(run.model, run.header(job, epoch)))
    if epoch == best:
        best_path = job.folder / checkpoint.BEST_FILE
        content = {"format": checkpoint.FORMAT, "epoch": epoch, "parts": {"model": run.model.state_dict()}}
        files[checkpoint.BEST_FILE] = checkpoint.save_pytorch(best_path, content)
    earlier = run.progress.history["val_accuracy"][:-1]
    best_before = earlier.index(max(earlier)) if earlier else best  # going on from epoch - 1 takes it
    needed = {None, epoch, epoch - 1, best, best_before}  # None: files that belong to no epoch
    files = {name: sha for name, sha in files.items() if checkpoint.epoch_of(name) in needed or job.keep_file(name)}
    run.state = {"last_fold": job.fold, "last_epoch": epoch + 1, "key": job.key, "files": files, "finished": False}
    checkpoint.save_training_state_json(job.folder, run.state)
    checkpoint.delete_uncommitted(job.folder, files)


def resume(job: FoldJob, observer: Observer) -> Run:
    """The run as the last usable committed epoch left it, or a new one. What is damaged is said in one line each."""
    state = checkpoint.load_training_state_json(job.folder, job.fold)
    state_file = job.folder / checkpoint.STATE_FILE
    if state.get("key") != job.key and state_file.exists():
        observer.say(f"{state_file} is damaged or of another version, so no checkpoint counts: training starts over")
        return Run(job)
    files = state.get("files", {})
    epochs = {epoch for name in files if name.endswith(".pt") and (epoch := checkpoint.epoch_of(name)) is not None}
    for epoch in sorted(epochs, reverse=True):
        run = Run(job)
        try:
            start, _ = checkpoint.load_pytorch_checkpoint(
                job.folder / f"epoch_{epoch}.pt", files[f"epoch_{epoch}.pt"], run.parts
            )
            run.state = {**state, "files": {name: sha for name, sha in files.items() if _not_after(name, epoch)}}
            load_best_model(job, run)
        except DamagedCheckpointError as error:
            observer.say(f"{error}; trying the checkpoint before it")
            continue
        observer.say(f"going on after epoch {start - 1}")
        checkpoint.delete_uncommitted(job.folder, files)  # after a kill between a commit and its deletions
        return run
    if epochs:
        observer.say("no usable checkpoint is left: training starts over")
    return Run(job)


def _not_after(name: str, epoch: int) -> bool:
    its_epoch = checkpoint.epoch_of(name)
    return its_epoch is None or its_epoch <= epoch


def load_best_model(job: FoldJob, run: Run) -> dict[str, Tensor]:
    """The weights of the best epoch so far, from its epoch file or best_model_this_fold.pt.

    Raises DamagedCheckpointError where neither is usable.
    """
    best = run.progress.best_epoch
    files = run.state.get("files", {})
    damage = DamagedCheckpointError(f"the best model of {job.folder} (epoch {best}) is missing")
    for name in (f"epoch_{best}.pt", checkpoint.BEST_FILE):
        try:
            saved = checkpoint.load_pytorch(job.folder / name, files.get(name, ""))
            if saved["epoch"] == best:
                weights: dict[str, Tensor] = saved["parts"]["model"]
                return weights
        except DamagedCheckpointError as error:
            damage = error
    raise damage
