"""The whole pipeline at a tiny size, every process of it on an emulated CPU.

qemu-user emulates one process and not those that it starts: a worker started by an emulated stage would run on this
machine's own CPU. So the worker is started here, emulated itself, and the stages find its folds finished.
"""

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from audiocnn.config.arithmetic import with_arithmetic
from audiocnn.config.params import read_params
from audiocnn.config.runtime import Runtime
from audiocnn.config.settings import read_yaml
from audiocnn.config.train_params import LEVERS
from audiocnn.files import sha256_of_file
from audiocnn.folds.plan import make_plan
from audiocnn.folds.pool import KEEP_LARGE_BLOCKS, WorkerJob
from tests.support.paths import ROOT
from tests.support.processes import environment
from tests.support.training import LEVERS_ON

QEMU = shutil.which("qemu-x86_64")
_OUTS = ("data/raw", "data/prepared", "models", "results", "metrics")
_CLIPS, _MELS, _FRAMES, _CLASSES, _FOLDS = 48, 16, 32, 3, 4
_LEVERS = {**LEVERS_ON.model_dump(include=set(LEVERS)), "warmup_epochs": 1, "validation": "none"}
_SETTINGS_OF_BLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # they choose numpy's products


@dataclass(frozen=True)
class Pipeline:
    """A copy of the project in `folder`, whose stages run on a CPU model of qemu's, or on this machine's own (None).

    levers: whether it trains with all levers on, and validation none.
    """

    folder: Path
    cpu: str | None
    arithmetic: str = "portable"
    source: str = "source"
    levers: bool = False

    def prepared(self) -> "Pipeline":
        """Copies the code, writes data and params, and runs fetch and prepare."""
        self.folder.mkdir()
        for name in ("audiocnn", "stages"):
            shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "dvc.yaml", self.folder)
        (self.folder / "runtime.yaml").write_text("{device: cpu, wandb: {mode: disabled}}\n")
        _write_pickles(self.folder / "source")
        train = {**read_yaml(ROOT / "params.yaml")["train"], "epochs": 2, "arithmetic": self.arithmetic}
        train |= _LEVERS if self.levers else {}
        params = {"folds": [0, 1], "data": {"source": self.source, "sha256": {}}, "train": train}
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params))
        self.run("stages.fetch")
        self.run("stages.prepare")
        return self

    def trained(self) -> "Pipeline":
        """Trains two folds for two epochs each, publishes and aggregates them."""
        self.work()
        for fold in read_params(self.folder / "params.yaml").folds:
            assert "epoch" not in self.run("stages.train_fold", str(fold)), "a worker ran that is not emulated"
        self.run("stages.aggregate")
        return self

    def work(self) -> str:
        """Runs the worker that trains all folds, as the pool starts it; returns what it prints."""
        params = read_params(self.folder / "params.yaml")
        plan = make_plan(params, Runtime(device="cpu"), self.folder / "data/prepared", self.folder / "checkpoints")
        job = WorkerJob.of(plan, {fold: plan.key(fold) for fold in params.folds}, "a session", Runtime())
        variables = with_arithmetic(KEEP_LARGE_BLOCKS, self.arithmetic)
        return self.run("audiocnn.folds.worker", job.model_dump_json(), variables=variables)

    def run(self, module: str, *arguments: str, variables: dict[str, str] | None = None) -> str:
        """Runs a module of the copy, and returns what it prints."""
        emulator = [] if self.cpu is None else [str(QEMU), "-cpu", self.cpu]
        seen = ["-m", "tests.support.seen_cpu", str(self.folder / "seen"), module]
        setting = environment(PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=f"{self.folder}:{ROOT}", **(variables or {}))
        for name in _SETTINGS_OF_BLAS:
            setting.pop(name, None)
        done = subprocess.run(
            [*emulator, sys.executable, *seen, *arguments], cwd=self.folder, env=setting, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def seen(self) -> list[dict[str, Any]]:
        """What each process saw of its CPU."""
        return [json.loads(line) for line in (self.folder / "seen").read_text().splitlines()]

    def outs(self) -> dict[str, str]:
        """The sha256 of each file that the stages wrote, by path."""
        files = [path for out in _OUTS for path in (self.folder / out).rglob("*") if path.is_file()]
        return {path.relative_to(self.folder).as_posix(): sha256_of_file(path) for path in files}


def _write_pickles(folder: Path) -> None:
    folder.mkdir()
    generator = np.random.default_rng(0)
    labels = np.arange(_CLIPS) % _CLASSES
    features = generator.normal(-40, 15, size=(_CLIPS, _MELS, _FRAMES)) + 5 * labels[:, None, None]
    arrays = {
        "features.pkl": features.clip(-80, 0).astype(np.float32),
        "labels.pkl": labels,
        "folds.pkl": np.arange(_CLIPS) * _FOLDS // _CLIPS + 1,
    }
    for name, array in arrays.items():
        (folder / name).write_bytes(pickle.dumps(array, protocol=4))
