"""A tiny prepared dataset and the jobs, plans and projects that train on it in a second or less."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import yaml

from audiocnn import checkpoint
from audiocnn.crossval import Plan
from audiocnn.files import sha256_of_file, write_json
from audiocnn.key import code_digests, digest
from audiocnn.params import ModelParams, TrainParams
from audiocnn.prepared import ARRAYS, META, Meta, read_meta
from audiocnn.run import FoldJob, Progress
from audiocnn.training import train_fold

ROOT = Path(__file__).resolve().parent.parent
MODEL = ModelParams(encoder_channels=(4, 4, 8), conv1d_channels=4, hidden_units=8)
# Patience of 1 and a large factor: the scheduler acts often, so a forgotten one shows.
TRAIN = TrainParams(epochs=6, batch_size=8, lr=0.01, lr_factor=0.5, lr_patience=1, early_stopping_patience=6)
CLASSES = ["dog bark", "engine, idling", "siren"]


def write_prepared(folder: Path, clips: int = 60, folds: int = 3) -> Meta:
    """What `prepare` writes: (clips, 8, 16) noise around a level that only just tells the classes apart."""
    generator = np.random.default_rng(0)
    labels = np.arange(clips) % len(CLASSES)
    levels = np.linspace(-0.5, 0.5, 8)[None, :, None] * (labels[:, None, None] - 1)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "features": (generator.normal(size=(clips, 8, 16)) + levels).astype(np.float32),
        "labels": labels,
        "folds": 1 + generator.permutation(clips) % folds,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    digests = {name: sha256_of_file(folder / f"{name}.npy") for name in ARRAYS}
    numbers = list(range(1, folds + 1))
    meta = Meta(
        source="demo", classes=CLASSES, clips=clips, mels=8, frames=16, folds=numbers, digests=digests, recipe=None
    )
    write_json(folder / META, meta.model_dump())
    return meta


def make_job(
    prepared: Path,
    root: Path,
    train: TrainParams = TRAIN,
    fold: int = 0,
    keep_file: Callable[[str], bool] = lambda name: False,
) -> FoldJob:
    """A fold of a folder that write_prepared wrote, with its checkpoints under root."""
    key = digest(train.model_dump())  # not of the code, which may be edited while tests run
    folder = checkpoint.fold_folder(root, fold, key)
    return FoldJob(fold, key, prepared, folder, read_meta(prepared), MODEL, train, keep_file=keep_file)


def make_plan(prepared: Path, root: Path, train: TrainParams = TRAIN) -> Plan:
    """The plan of all folds."""
    return Plan(prepared, root, read_meta(prepared), MODEL, train, "cpu", code_digests())


class InterruptedRunError(Exception):
    """The observer has seen enough."""


class Watcher:
    """An observer that keeps what it is told, and ends the run after an epoch (`stop_after`) when asked to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.said: list[str] = []
        self.trained: list[int] = []  # epochs
        self.metrics: list[dict[str, float]] = []
        self._stop_after = stop_after

    def say(self, message: str) -> None:
        self.said.append(message)

    def resumed(self, model: torch.nn.Module, progress: Progress) -> None:
        pass

    def batch_done(self, epoch: int, batch: int, batches: int) -> None:
        pass

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        self.trained.append(epoch)
        self.metrics.append(metrics)
        if epoch == self._stop_after:
            raise InterruptedRunError

    def finishing(self) -> None:
        pass


def train_until(job: FoldJob, epoch: int | None = None) -> Watcher:
    """Trains a fold up to and with an epoch, or to its end."""
    watcher = Watcher(stop_after=epoch)
    with suppress(InterruptedRunError):
        train_fold(job, watcher)
    return watcher


def results(folder: Path, fold: int = 0) -> dict[str, bytes]:
    """The bytes of the two files that a finished fold leaves, by name."""
    return {name: (folder / name).read_bytes() for name in checkpoint.result_names(fold)}


def same_value(left: Any, right: Any) -> bool:
    """Whether two loaded checkpoints hold the same: tensors bit for bit, in the same type, shape and layout."""
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return (
            left.dtype == right.dtype
            and left.shape == right.shape
            and left.stride() == right.stride()
            and left.contiguous().numpy().tobytes() == right.contiguous().numpy().tobytes()
        )
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_value(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same_value, left, right))
    return type(left) is type(right) and bool(left == right)


def make_project(folder: Path, epochs: int = 6) -> dict[str, Any]:
    """A scratch copy of the code with tiny data and params; returns what subprocess needs to run its stages."""
    for name in ("audiocnn", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", folder)
    write_prepared(folder / "data/prepared")
    train = {**TRAIN.model_dump(), "epochs": epochs, "early_stopping_patience": epochs}
    params = {"folds": [0, 1, 2], "model": MODEL.model_dump(mode="json"), "train": train}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "runtime.yaml").write_text(yaml.safe_dump({"device": "cpu", "jobs": 1, "wandb": {"mode": "disabled"}}))
    return {"cwd": folder, "env": environment()}


def params_of(project: Path) -> TrainParams:
    """The training params of a project."""
    return TrainParams.model_validate(yaml.safe_load((project / "params.yaml").read_text())["train"])


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of the user's own, and one thread a process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AUDIOCNN_", "DVC_", "PYTEST_"))}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **more}


def stage(fold: int = 0) -> list[str]:
    """The command of a fold's stage."""
    return [sys.executable, "-m", "stages.train_fold", str(fold)]


def run_stage(setting: dict[str, Any], fold: int = 0, expect: int = 0) -> str:
    """Runs a fold's stage to its end; returns all it printed."""
    done = subprocess.run(
        stage(fold), **setting, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, text=True
    )
    output: str = done.stdout
    assert done.returncode == expect, output
    return output


@contextmanager
def started(setting: dict[str, Any], *command: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A command that runs meanwhile, its output in a file; it and all that it started are gone at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, **setting, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        family = [psutil.Process(process.pid), *children(process.pid)] if process.poll() is None else []
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()


def children(pid: int) -> list[psutil.Process]:
    """All processes that a process started, and those that they started."""
    found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    return found


def epochs_done(root: Path, fold: int = 0) -> int:
    """Committed epochs of the one folder that a fold has under a checkpoint root; 0 where it has none."""
    folders = list(root.glob(f"fold_{fold}-*"))
    return checkpoint.load_training_state_json(folders[0], fold)["last_epoch"] if folders else 0
