"""The fold's epoch loop: train, validate, save, stop; then read the held-out fold with the best model."""

import math
import os
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from audiocnn import checkpoint
from audiocnn.dataset import Rows, SoundDataset, Split, batches, open_dataset, split_rows
from audiocnn.errors import UserError
from audiocnn.files import json_text
from audiocnn.key import torch_version
from audiocnn.resume import commit_epoch, load_best_model, resume
from audiocnn.run import HISTORY, FoldJob, Observer, Run, derived_seed
from audiocnn.weights import weights_bytes

_EVALUATION_BATCH = 32  # fixed: another size may change the last bits; small: it takes less memory than training


def train_fold(job: FoldJob, observer: Observer) -> None:
    """Trains a fold to its end, from the last committed epoch, and leaves its results in the checkpoint folder.

    The caller holds the fold's lock. Raises UserError where the data or the params cannot be trained on.
    """
    set_arithmetic(job)
    split = split_rows(job.prepared, job.meta, job.fold, job.train.validation)
    dataset = open_dataset(job.prepared, job.device)
    run = resume(job, observer)
    observer.resumed(run.model, run.progress)
    train_model(job, run, dataset, split, observer)
    finish_fold(job, run, dataset, split, observer)


def train_model(job: FoldJob, run: Run, dataset: SoundDataset, split: Split, observer: Observer) -> None:
    """The epoch loop. Each epoch is a pure function of (state at its start, seed, fold, epoch)."""
    while not run.progress.is_over(job.train):
        epoch = run.progress.epochs_done
        lr = run.optimizer.param_groups[0]["lr"]
        loss, accuracy = train_epoch(job, run, dataset, split.train, observer)
        val_loss, val_accuracy = evaluate(job, run.model, dataset, split.validation)
        if not math.isfinite(loss + val_loss):
            raise UserError(
                f"fold {job.fold}: the loss is no longer a number in epoch {epoch}: lower train.lr ({lr:g})."
            )
        metrics = dict(zip(HISTORY, (loss, accuracy, val_loss, val_accuracy, lr), strict=True))
        run.scheduler.step(val_loss)
        run.progress.record(metrics)
        commit_epoch(job, run)
        observer.epoch_done(epoch, metrics)


def train_epoch(job: FoldJob, run: Run, dataset: SoundDataset, rows: Rows, observer: Observer) -> tuple[float, float]:
    """One pass over the training rows in a new order. Returns the mean loss and accuracy, as seen while training."""
    epoch = run.progress.epochs_done
    order = torch.Generator().manual_seed(derived_seed(job, "order", epoch))
    shuffled = rows[torch.randperm(len(rows), generator=order).numpy()].tolist()
    torch.manual_seed(derived_seed(job, "dropout", epoch))
    run.model.train()
    loss_sum, correct = torch.zeros((2,), device=job.device)
    count = math.ceil(len(rows) / job.train.batch_size)
    for batch, (features, labels) in enumerate(batches(dataset, shuffled, job.train.batch_size)):
        with autocast(job):
            logits = run.model(features).float()
        loss = cross_entropy(logits, labels)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimizer.step()
        loss_sum += loss.detach() * len(labels)  # read once an epoch: .item() would wait for the device at every batch
        correct += (logits.detach().argmax(dim=1) == labels).sum()
        observer.batch_done(epoch, batch + 1, count)
    return loss_sum.item() / len(rows), correct.item() / len(rows)


def set_arithmetic(job: FoldJob) -> None:
    """Threads, and on a GPU algorithms that give the same bits each time."""
    torch.set_num_threads(job.train.threads)
    torch.set_float32_matmul_precision("highest" if job.train.precision == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = job.train.precision != "float32"
    if job.device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic cuBLAS asks for
        torch.use_deterministic_algorithms(True, warn_only=True)


def autocast(job: FoldJob) -> torch.autocast:
    """The context in which the network runs: bfloat16 where train.precision says so."""
    return torch.autocast(job.device, dtype=torch.bfloat16, enabled=job.train.precision == "bf16")


def predict_logits(job: FoldJob, model: nn.Module, dataset: SoundDataset, rows: Rows) -> Tensor:
    """Logits of the given rows in evaluation mode: (rows, classes) float32, on the CPU."""
    model.eval()
    with torch.inference_mode(), autocast(job):
        logits = [model(features) for features, _ in batches(dataset, rows.tolist(), _EVALUATION_BATCH)]
        return torch.cat(logits).float().cpu()


def evaluate(job: FoldJob, model: nn.Module, dataset: SoundDataset, rows: Rows) -> tuple[float, float]:
    """Mean cross-entropy (nats, in float64) and accuracy (0 to 1) over the given rows."""
    logits, labels = predict_logits(job, model, dataset, rows), dataset.labels[rows].cpu()
    accuracy = (logits.argmax(dim=1) == labels).sum().item() / len(rows)
    return cross_entropy(logits.double(), labels).item(), accuracy


def finish_fold(job: FoldJob, run: Run, dataset: SoundDataset, split: Split, observer: Observer) -> None:
    """Reads the held-out fold with the best model, writes the two results, and marks the fold finished."""
    run.model.load_state_dict(load_best_model(job, run))
    best = run.progress.best_epoch
    logits = predict_logits(job, run.model, dataset, split.held_out)
    weights_name, json_name = checkpoint.result_names(job.fold)
    content = weights_bytes(run.model, run.header(job, best))
    observer.finishing()
    files = dict(run.state.get("files", {}))
    files[weights_name] = checkpoint.save_bytes(job.folder / weights_name, content)
    result = json_text(fold_result(job, run, split, logits, dataset))
    files[json_name] = checkpoint.save_bytes(job.folder / json_name, result.encode())
    run.state = {**run.state, "key": job.key, "files": files, "finished": True}
    checkpoint.save_training_state_json(job.folder, run.state)


def fold_result(job: FoldJob, run: Run, split: Split, logits: Tensor, dataset: SoundDataset) -> dict[str, Any]:
    """results/folds/fold_k.json's content. Nothing in it tells when or where it was made."""
    return {
        "format": 1,
        "key": job.key,
        "fold": job.fold,
        "dataset_fold": job.meta.folds[job.fold],
        "source": job.meta.source,
        "classes": job.meta.classes,
        "device": job.device,
        "torch": torch_version(),
        "validation": job.train.validation,
        "best_epoch": run.progress.best_epoch,
        "history": run.progress.history,
        "held_out": {
            "rows": split.held_out.tolist(),
            "labels": dataset.labels[split.held_out].tolist(),
            "logits": [[float(str(np.float32(value))) for value in row] for row in logits.tolist()],
        },
    }
