"""Showing folds and results on W&B, never in the way: nothing here raises, prompts or waits for long.

Nothing depends on what is sent: the same numbers are in the checkpoints and in results/.
"""

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from audiocnn.config.all_clips import ALL_CLIPS
from audiocnn.config.model_params import ModelParams
from audiocnn.config.outs import PREPARED
from audiocnn.config.params import Params
from audiocnn.config.runtime import WandbSettings, checkpoint_root, read_runtime
from audiocnn.config.train_params import TrainParams, effective_params
from audiocnn.data.prepared import META, read_meta
from audiocnn.evaluation.fold_results import FoldResult
from audiocnn.files import digest
from audiocnn.text import displayed
from audiocnn.tracking.config import wandb_config
from audiocnn.tracking.service import Say, WandbService

if TYPE_CHECKING:
    import wandb
    from torch import nn

Watch = Literal["none", "gradients", "parameters", "all"]

_WATCH_EVERY = 100  # batches; histograms at each batch would cost 30 to 40 % of the training time
_NAMES = {"loss": "train_loss", "accuracy": "train_acc", "val_accuracy": "val_acc"}
_SWEEP = ("WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_RUN_ID")


def _print_line(message: str) -> None:
    """Prints one line on stderr."""
    print(displayed(message), file=sys.stderr, flush=True)


def experiment_group(model: ModelParams, train: TrainParams, digests: Mapping[str, str]) -> str:
    """The name that the runs of one experiment share: DVC's, or a digest of what is trained on which arrays.

    `dvc exp run` exports DVC_EXP_NAME to its stages, `dvc repro` does not.
    """
    trained = {**effective_params(model, train), "data": dict(digests)}
    return os.environ.get("DVC_EXP_NAME") or digest(trained)[:12]


def fold_tracker(
    settings: WandbSettings,
    *,
    group: str,
    fold: int,
    key: str,
    config: Mapping[str, Any],
    root: Path,
    say: Say = _print_line,
) -> "FoldTracker | None":
    """The tracker of one fold, a W&B run of job_type `fold`; None where W&B is not wanted or does not work.

    The run's id comes from the fold and its KEY, so that a resumed fold continues its run, whatever name DVC gives the
    experiment this time. An active run is used instead, and not finished. root: the checkpoint root, where a server
    that failed is remembered. say: takes the one line of a failure, or the run's address.
    """
    service = WandbService(wandb_config(settings), root, say)
    if active := service.active_run():
        return FoldTracker(active, service, settings.watch, fold, is_ours=False)
    for variable in _SWEEP:  # a sweep over whole experiments: its run is for the summary, not for ten folds at once
        os.environ.pop(variable, None)
    name = "all_clips" if fold == ALL_CLIPS else f"fold_{fold}"
    run = service.start(id=f"{name}-{key[:16]}", name=name, group=group, job_type="fold", config=dict(config))
    return FoldTracker(run, service, settings.watch, fold, is_ours=True) if run else None


def log_results(params: Params, results: Sequence[FoldResult], metrics: Path) -> None:
    """Shows an aggregated cross-validation, as runtime.yaml says, beside the runs of its folds. Never raises."""
    # The prepared data may be on another machine, where the folds trained; then this run stands in a group of its own.
    digests = read_meta().digests if (PREPARED / META).exists() else {}
    log_summary(
        read_runtime().wandb,
        group=experiment_group(params.model, params.train, digests),
        config=params.model_dump(mode="json"),
        summary=json.loads((metrics / "summary.json").read_text(encoding="utf-8")),
        fold_accuracies={result.fold: _accuracy(result) for result in results},
        root=checkpoint_root(),
    )


def _accuracy(result: FoldResult) -> float:
    """A fold's val_acc; where nothing validates, its test_acc."""
    return result.test_accuracy if result.val_accuracy is None else result.val_accuracy


def log_summary(
    settings: WandbSettings,
    *,
    group: str,
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    fold_accuracies: Mapping[int, float],
    root: Path,
    say: Say = _print_line,
) -> None:
    """Shows an experiment's result as a run of job_type `aggregate`, or in the active run. Never raises.

    summary: metrics/summary.json's content. fold_accuracies: val_acc by fold index; where nothing validates, test_acc.
    """
    service = WandbService(wandb_config(settings), root, say)
    active = service.active_run()
    identity = {"id": f"aggregate-{digest(group)[:16]}", "name": "aggregate", "job_type": "aggregate"}
    run = active or service.start(**identity, group=group, config=dict(config))
    if run is None:
        return
    by_fold = {f"fold_{fold}": accuracy for fold, accuracy in fold_accuracies.items()}
    name = "val_acc_by_fold" if "val_acc" in summary else "test_acc_by_fold"
    service.attempt(run, lambda: run.summary.update({**summary, name: by_fold}))
    if active is None:
        service.finish(run)


class FoldTracker:
    """A fold in a W&B run. is_ours: we started the run, so we count its steps and finish it. No method raises."""

    def __init__(self, run: "wandb.Run", service: WandbService, watch: Watch, fold: int, *, is_ours: bool) -> None:
        self._run, self._service, self._watch, self._fold, self._is_ours = run, service, watch, fold, is_ours
        self._next_epoch = run.starting_step if is_ours else 0  # the server has the ones before of a resumed run
        self._watched: nn.Module | None = None

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Shows an epoch's metrics, by the history's names. An epoch that the run has already is left alone."""
        if epoch < self._next_epoch:
            return
        self._next_epoch = epoch + 1
        row = {_NAMES.get(name, name): value for name, value in metrics.items()} | {"epoch": epoch}
        if self._is_ours:
            self._service.attempt(self._run, lambda: self._run.log(row, step=epoch, commit=True))
        else:  # the active run counts its own steps, and several folds may share it
            self._service.attempt(self._run, lambda: self._run.log({**row, "fold": self._fold}))

    def watch(self, model: "nn.Module") -> None:
        """From now on shows histograms of the model's parameters or gradients, where runtime.yaml asks for them."""
        kind, run = self._watch, self._run
        if kind == "none" or self._watched is not None:
            return
        self._watched = model
        log = run._log
        # wandb's hooks log from inside forward and backward, where a failure would end the training. They call this
        # private method, and wandb offers no other place to catch it.
        run._log = lambda *given, **named: self._service.attempt(run, lambda: log(*given, **named))  # type: ignore[method-assign]
        self._service.attempt(run, lambda: run.watch(model, log=kind, log_freq=_WATCH_EVERY, idx=0))

    def finish(self) -> None:
        """Ends the run, waiting a few seconds at most for what is still to be sent. It may come again."""
        if self._watched is not None:
            with contextlib.suppress(Exception):  # the run may have failed in the middle of `watch`
                self._run.unwatch(self._watched)
            self._watched = None
            del self._run._log
        if self._is_ours:
            self._service.finish(self._run)
