"""The folds of one cross-validation: which are finished, which must train, and getting them trained."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from audiocnn import checkpoint
from audiocnn.errors import UserError
from audiocnn.files import write_atomically
from audiocnn.hub import uploads
from audiocnn.key import code_digests, fold_key
from audiocnn.locking import fold_lock, holder_of, is_locked
from audiocnn.params import PARAMS_FILE, ModelParams, Params, TrainParams
from audiocnn.prepared import Meta, read_meta, verify_arrays
from audiocnn.runtime import Runtime, checkpoint_root, device_type, job_count
from audiocnn.settings import read_yaml
from audiocnn.signals import StopSignal, dvc_process
from audiocnn.workers import WorkerJob, error_of, run_workers

_TRAINED_BY = "trained_by"  # the dvc run that had a fold trained last


@dataclass(frozen=True)
class Plan:
    """Everything that decides the folds' results, as it was when the plan was made, and where their checkpoints are."""

    prepared: Path
    root: Path
    meta: Meta
    model: ModelParams
    train: TrainParams
    device: str
    code: Mapping[str, str]  # code_digests

    def key(self, fold: int) -> str:
        return fold_key(fold, self.model, self.train, self.meta, self.device, self.code)

    def folder(self, fold: int) -> Path:
        return checkpoint.fold_folder(self.root, fold, self.key(fold))

    def results(self, fold: int) -> dict[str, bytes] | None:
        """A finished fold's two files by name, or None."""
        return checkpoint.read_finished(self.folder(fold), fold, self.key(fold))


def make_plan(params: Params, runtime: Runtime, prepared: Path, root: Path | None = None) -> Plan:
    """The plan for these settings. Reads and verifies the prepared data. Raises UserError."""
    meta = read_meta(prepared)
    verify_arrays(prepared, meta)
    if max(params.folds) >= len(meta.folds):
        count = len(meta.folds)
        raise UserError(
            f"params.yaml: folds lists {max(params.folds)}, but the data in {prepared} has {count} folds: "
            f"set folds: {list(range(count))}."
        )
    return Plan(
        prepared, root or checkpoint_root(), meta, params.model, params.train, device_type(runtime), code_digests()
    )


def train_folds(plan: Plan, folds: Sequence[int], runtime: Runtime, stop: StopSignal) -> None:
    """Trains the given folds that are not finished, side by side; waits for those that another process trains.

    A fold that fails leaves its error in its folder (error_of) and does not keep the others from training.
    """
    session = current_session()
    jobs = job_count(runtime, plan.device, plan.train.threads)
    waiting = [fold for fold in folds if plan.results(fold) is None]
    for fold in waiting:
        write_atomically(plan.folder(fold) / _TRAINED_BY, session.encode())
    with uploads(runtime.hub, plan.root, {fold: plan.folder(fold) for fold in waiting}):
        while waiting:
            keys = {fold: plan.key(fold) for fold in waiting}
            run_workers(WorkerJob.of(plan, keys, session), jobs, stop)
            waiting = [f for f in waiting if plan.results(f) is None and error_of(plan.folder(f), session) is None]
            for fold in waiting:
                _wait_for_other(plan, fold, stop)


def _wait_for_other(plan: Plan, fold: int, stop: StopSignal) -> None:
    folder = plan.folder(fold)
    if not is_locked(folder):
        return
    print(f"fold {fold}: waiting for {holder_of(folder)}, which trains it", flush=True)
    while True:
        stop.check()
        with fold_lock(folder, timeout=1) as free:
            if free:
                return


def start_over_if_forced(plan: Plan, folds: Sequence[int]) -> None:
    """Empties the folders of finished folds that `dvc repro -f` asks for again, once a dvc run."""
    session = current_session()
    for fold in folds:
        results = plan.results(fold)
        trained_by = plan.folder(fold) / _TRAINED_BY
        if results is None or (trained_by.exists() and trained_by.read_text() == session) or not dvc_has(fold, results):
            continue
        with fold_lock(plan.folder(fold), timeout=-1):
            for path in plan.folder(fold).iterdir():
                if path.name not in ("lock", "holder.json"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        print(f"fold {fold}: training again, as asked by --force", flush=True)


def dvc_has(fold: int, results: dict[str, bytes]) -> bool:
    """Whether dvc.lock records exactly these results, for the params as they stand, and DVC's cache holds them.

    Then DVC could have restored them and had no reason to run the stage but --force. A lock alone says less: in a fresh
    clone it records what the cache has yet to get.
    """
    lock = Path("dvc.lock")
    if not lock.exists():
        return False
    entry = (read_yaml(lock) or {}).get("stages", {}).get(f"train_fold@{fold}", {})
    recorded = {Path(out["path"]).name: out.get("md5") for out in entry.get("outs", [])}
    digests = {name: hashlib.md5(content, usedforsecurity=False).hexdigest() for name, content in results.items()}
    values, now = entry.get("params", {}).get(str(PARAMS_FILE), {}), read_yaml(PARAMS_FILE)
    if recorded != digests or any(now.get(group) != value for group, value in values.items()):
        return False
    answer = subprocess.run(["dvc", "cache", "dir"], capture_output=True, text=True, check=False)
    cache = Path(answer.stdout.strip()) / "files" / "md5"
    return answer.returncode == 0 and all((cache / md5[:2] / md5[2:]).exists() for md5 in digests.values())


def current_session() -> str:
    """A name for the dvc run (or else the process) that we work for, the same in all its stages."""
    process = dvc_process() or psutil.Process()
    return json.dumps([process.pid, process.create_time()])


def folds_to_train(fold: int, listed: Sequence[int], jobs: int) -> tuple[list[int], bool]:
    """The folds that the stage of one fold trains, and whether all of them were asked for by force.

    All listed ones, side by side, unless the user wants this one alone: with one job, or by naming train_fold@k to dvc.
    """
    process = dvc_process()
    words = process.cmdline() if process else []
    named = any(re.match(r"(.*:)?train_fold@\d", word) for word in words)
    if jobs == 1 or named or os.environ.get("AUDIOCNN_JOBS") == "1":
        return [fold], True
    forced = any(word == "--force" or re.fullmatch("-[a-z]*f[a-z]*", word) for word in words)
    return [fold, *(other for other in listed if other != fold)], forced
