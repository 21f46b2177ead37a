"""The fold's epoch loop: train, validate, commit, stop; then read the held-out fold with the best model."""

import math
import os
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from audiocnn.checkpoints.folder import result_names
from audiocnn.checkpoints.key import torch_version
from audiocnn.checkpoints.training_state import save_training_state_json
from audiocnn.checkpoints.verified import save_bytes
from audiocnn.config.all_clips import fold_words
from audiocnn.config.arithmetic import check_arithmetic
from audiocnn.data.dataset import FoldData, Rows, SoundDataset, batches, open_dataset, split_rows
from audiocnn.errors import UserError
from audiocnn.evaluation.calibration import fit_temperature
from audiocnn.files import json_text
from audiocnn.model.quick_on_cpu import computes_in_bfloat16
from audiocnn.model.weights import weights_bytes
from audiocnn.training.augment import augment
from audiocnn.training.average import average_weights, measure_batch_norms
from audiocnn.training.input_statistics import input_normalisation
from audiocnn.training.optimizer import set_learning_rate
from audiocnn.training.resume import commit_epoch, load_best_model, resume
from audiocnn.training.state import FoldJob, FoldState, Observer

_EVALUATION_BATCH = 32  # fixed: another size may change the last bits; small: it takes less memory than training


def train_fold(job: FoldJob, observer: Observer) -> None:
    """Trains a fold to its end, from the last committed epoch, and leaves its results in the checkpoint folder.

    The caller holds the fold's lock. Raises UserError where the data or the params cannot be trained on.
    """
    if obstacle := job.train.augment.obstacle(job.meta.mels, job.meta.frames):
        raise UserError(f"params.yaml: train.augment.{obstacle}.")
    set_arithmetic(job)
    split = split_rows(job.prepared, job.meta, job.fold, job.train.validation)
    data = FoldData(open_dataset(job.prepared, job.device), *split)
    if job.device == "cpu" and job.train.precision == "bf16" and not computes_in_bfloat16():
        observer.say("this CPU has no AVX-512 BF16: float32 is quicker here than train.precision bf16")
    state = resume(job, observer)
    state.normalise_input(input_normalisation(data, job.train.normalise))
    observer.starting(state.model, state.progress)
    train_model(state, data, observer)
    _finish_fold(state, data, observer)


def train_model(state: FoldState, data: FoldData, observer: Observer) -> None:
    """The epoch loop. Each epoch is a pure function of (state at its start, seed, fold, epoch)."""
    progress = state.progress
    while not progress.is_over(state.job.train):
        epoch = progress.epochs_done
        loss, accuracy = train_epoch(state, data, observer)
        lr = state.optimizer.param_groups[0]["lr"]  # of the epoch's last step
        measure_average(state, data)
        metrics = {"loss": loss, "accuracy": accuracy, **validate(state, data), "lr": lr}
        watched = metrics.get("val_loss", loss)
        if not math.isfinite(loss + watched):
            raise UserError(
                f"{fold_words(state.job.fold)}: the loss is no longer a number in epoch {epoch}: lower train.lr "
                f"({state.job.train.lr:g})."
            )
        if state.job.train.schedule == "plateau":
            state.scheduler.step(watched)
        # held_out is the published procedure: the first of equals stays the best.
        progress.record(metrics, ties_by_loss=state.job.train.validation != "held_out")
        commit_epoch(state)
        observer.epoch_done(progress)


def measure_average(state: FoldState, data: FoldData) -> None:
    """Gives the averaged weights, where there are any, the batch-norm statistics that are theirs."""
    if state.average is None:
        return
    rows = shuffled(data.train, state.job.seed("average"))  # in the order of the data, a batch may be of one class
    with autocast(state.job):
        measure_batch_norms(
            state.average, (features for features, _ in batches(data.dataset, rows, state.job.train.batch_size))
        )


def validate(state: FoldState, data: FoldData) -> dict[str, float]:
    """The validation clips' loss and accuracy by the history's names; nothing where train.validation is none."""
    if not len(data.validation):
        return {}
    loss, accuracy = evaluate(state, data.dataset, data.validation)
    return {"val_loss": loss, "val_accuracy": accuracy}


def train_epoch(state: FoldState, data: FoldData, observer: Observer) -> tuple[float, float]:
    """One pass over the training rows in a new order. Returns the mean loss and accuracy, as seen while training."""
    job, epoch = state.job, state.progress.epochs_done
    rows = shuffled(data.train, job.seed("order", epoch))
    count = math.ceil(len(rows) / job.train.batch_size)
    torch.manual_seed(job.seed("dropout", epoch))
    generator = np.random.default_rng(job.seed("augment", epoch))
    state.model.train()
    loss_sum, correct = torch.zeros((2,), device=job.device)
    for batch, (features, labels) in enumerate(batches(data.dataset, rows, job.train.batch_size)):
        step = epoch * count + batch
        set_learning_rate(state.optimizer, job.train, step, count)
        clips, targets = augment(features, labels, job.train.augment, len(job.meta.classes), generator)
        loss, logits = train_step(state, clips, targets)
        if state.average is not None:
            average_weights(state.average, state.model, job.train.ema_decay, step)
        loss_sum += loss * len(labels)  # read once an epoch: .item() would wait for the device at every batch
        correct += (logits.argmax(dim=1) == labels).sum()
        observer.batch_done(epoch, batch + 1, count)
    return loss_sum.item() / len(rows), correct.item() / len(rows)


def shuffled(rows: Rows, seed: int) -> list[int]:
    """The rows in an order that the seed alone decides."""
    order = torch.Generator().manual_seed(seed)
    return rows[torch.randperm(len(rows), generator=order).numpy()].tolist()  # type: ignore[no-any-return]


def train_step(state: FoldState, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """One step on a batch. Returns the mean loss, a scalar, and the logits, (batch, classes), without gradients.

    features: (batch, mels, frames) float32. targets: (batch,) int64 labels, or (batch, classes) shares that sum to 1.
    Label smoothing: Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7.
    """
    with autocast(state.job):
        logits = state.model(features).float()
    loss = cross_entropy(logits, targets, label_smoothing=state.job.train.label_smoothing)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimizer.step()
    return loss.detach(), logits.detach()


def set_arithmetic(job: FoldJob) -> None:
    """Threads, portable bits where asked for, on a GPU algorithms that repeat them. Raises UserError."""
    if job.device == "cpu":
        check_arithmetic(job.train.arithmetic)
    torch.set_num_threads(job.train.threads)
    torch.set_float32_matmul_precision("highest" if job.train.precision == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = job.train.precision != "float32"
    if job.device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic cuBLAS asks for
        torch.use_deterministic_algorithms(True, warn_only=True)


def autocast(job: FoldJob) -> torch.autocast:
    """The context in which the network trains: bfloat16 where train.precision says so."""
    return torch.autocast(job.device, dtype=torch.bfloat16, enabled=job.train.precision == "bf16")


def _predict_logits(state: FoldState, dataset: SoundDataset, rows: Rows) -> Tensor:
    """Logits of the given rows in evaluation mode: (rows, classes) float32, on the CPU."""
    state.measured.eval()
    with torch.inference_mode():  # in float32, as predictions are made
        logits = [state.measured(features) for features, _ in batches(dataset, rows.tolist(), _EVALUATION_BATCH)]
        return torch.cat(logits).float().cpu()


def evaluate(state: FoldState, dataset: SoundDataset, rows: Rows) -> tuple[float, float]:
    """Mean cross-entropy (nats, in float64) and accuracy (0 to 1) over the given rows."""
    logits, labels = _predict_logits(state, dataset, rows), dataset.labels[rows].cpu()
    accuracy = (logits.argmax(dim=1) == labels).sum().item() / len(rows)
    return cross_entropy(logits.double(), labels).item(), accuracy


def _finish_fold(state: FoldState, data: FoldData, observer: Observer) -> None:
    """Reads the held-out fold with the best model, writes the two results, and marks the fold finished."""
    job = state.job
    state.measured.load_state_dict(load_best_model(state))
    if job.train.calibrate:
        logits = _predict_logits(state, data.dataset, data.validation)
        labels = data.dataset.labels[data.validation].cpu().numpy()
        state.measured.temperature = fit_temperature(logits.double().numpy(), labels)
    logits = _predict_logits(state, data.dataset, data.held_out)
    finish(state, fold_result(state, data, logits), observer)


def finish(state: FoldState, result: dict[str, Any], observer: Observer) -> None:
    """Writes the measured model's weights and the result, as JSON, and marks the training finished."""
    job = state.job
    weights_name, result_name = result_names(job.fold)
    weights = weights_bytes(state.measured, state.header(state.progress.best_epoch))
    observer.finishing(state.progress)
    files = dict(state.committed.get("files", {}))
    files[weights_name] = save_bytes(job.folder / weights_name, weights)
    files[result_name] = save_bytes(job.folder / result_name, json_text(result).encode())
    state.committed = {**state.committed, "key": job.key, "files": files, "finished": True}
    save_training_state_json(job.folder, state.committed)


def fold_result(state: FoldState, data: FoldData, logits: Tensor) -> dict[str, Any]:
    """results/folds/fold_k.json's content. Nothing in it tells when or where it was made."""
    job = state.job
    temperature = {"temperature": state.measured.temperature} if job.train.calibrate else {}
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
        "best_epoch": state.progress.best_epoch,
        "history": state.progress.history,
        "held_out": {
            "rows": data.held_out.tolist(),
            "labels": data.dataset.labels[data.held_out].tolist(),
            "logits": [[float(str(np.float32(value))) for value in row] for row in logits.tolist()],
            **temperature,
        },
    }
