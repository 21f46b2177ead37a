"""Clones of this working tree with a tiny dataset, in which the real `dvc` runs from end to end."""

import json
import os
import pickle
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.support.paths import ROOT
from tests.support.processes import environment

FOLDS, CLIPS, MELS, FRAMES = 3, 36, 8, 16
CLASS_MAPPING = {0: "dog bark", 1: "siren", 2: "engine, idling"}
EPOCHS = 3
PARAMS: dict[str, Any] = {
    "folds": list(range(FOLDS)),
    "data": {"source": "dataset", "sha256": {}},
    "model": {
        "encoder_channels": [8, 8, 8],
        "conv1d_channels": 4,
        "hidden_units": 16,
        "encoder_dropout": 0.05,
        "head_dropout": 0.1,
    },
    "train": {"epochs": EPOCHS, "batch_size": 2, "lr": 0.01},
}
RUNTIME = {"jobs": "auto", "wandb": {"mode": "disabled"}}
_SECONDS = 900  # for one command: ten times what the longest needs, since other work may share the machine


@dataclass(frozen=True)
class Project:
    """A clone of the project. environment: what its commands see beside PATH and the like."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *words: str) -> dict[str, Any]:
        """The arguments of subprocess.run or Popen for a command in this clone."""
        return {"args": words, "cwd": self.path, "env": {**clone_environment(self.path), **self.environment}}

    def run(self, *words: str, expect: int | None = 0) -> str:
        """Runs a command; returns what it printed, stdout and stderr together. expect: its exit code, None for any."""
        done = subprocess.run(
            **self.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            text=True,
        )
        assert expect is None or done.returncode == expect, f"{words} ended with {done.returncode}:\n{done.stdout}"
        return str(done.stdout)

    def dvc(self, *words: str, expect: int | None = 0) -> str:
        return self.run("dvc", *words, expect=expect)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def lock(self) -> bytes:
        return self.read("dvc.lock")

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def set_params(self, **changes: Mapping[str, Any] | list[int]) -> None:
        """Merges groups of settings into params.yaml; a list replaces what was there."""
        params = yaml.safe_load(self.read("params.yaml"))
        for group, value in changes.items():
            params[group] = {**params[group], **value} if isinstance(value, Mapping) else value
        (self.path / "params.yaml").write_text(yaml.safe_dump(params))

    def set_runtime(self, **changes: Any) -> None:
        (self.path / "runtime.yaml").write_text(yaml.safe_dump({**RUNTIME, **changes}))

    def commit(self, message: str) -> None:
        """Commits everything that git does not ignore."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", message)

    def copy(self, path: Path, **environment: str) -> "Project":
        """The same clone elsewhere, with its history, cache, outs and checkpoints."""
        shutil.copytree(self.path, path, symlinks=True)
        return Project(path, environment)


def clone_environment(clone: Path) -> dict[str, str]:
    """What the commands in a clone see: no configuration of the user's own, nothing of the network."""
    return environment(
        PYTHONPATH=str(clone),  # its own code, also under `audiocnn`, which is installed for another clone
        DVC_SITE_CACHE_DIR=str(clone / ".dvc/tmp/site"),  # else dvc leaves a folder in /var/tmp for each clone
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_CONFIG_NOSYSTEM="1",
        HF_HUB_OFFLINE="1",
        WANDB_MODE="disabled",
        **{f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    )


def make_clone(path: Path) -> Project:
    """A clone at `path` (which must not exist) with one commit, its own dvc, the tiny dataset and params for it.

    The files are the working tree's, committed or not, but for dvc.lock and metrics/, which are of another dataset.
    """
    listing = subprocess.run(
        ["git", "ls-files", "-co", "-z", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    for name in sorted(set(listing.stdout.split("\0")) - {"", "dvc.lock"}):
        if (ROOT / name).is_file() and not name.startswith(("metrics/", ".dvc/tmp/")):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, path / name)
    project = Project(path)
    (path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    project.set_runtime()
    write_dataset(path / "dataset")
    project.run("git", "init", "-q", "-b", "main")
    project.commit("start")
    return project


def write_dataset(folder: Path, folds: int = FOLDS) -> None:
    """The four pickles: CLIPS clips whose classes differ in level along the mel axis, each fold with every class."""
    generator = np.random.default_rng(0)
    labels = np.arange(CLIPS) % len(CLASS_MAPPING)
    levels = np.linspace(-2, 2, MELS)[None, :] * (labels[:, None] - 1)
    features = generator.normal(size=(CLIPS, MELS, FRAMES)) + levels[:, :, None]
    folder.mkdir(parents=True)
    values = {
        "features": features.astype(np.float32),
        "labels": labels,
        "folds": 1 + np.arange(CLIPS) // len(CLASS_MAPPING) % folds,
        "class_mapping": CLASS_MAPPING,
    }
    for name, value in values.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value, protocol=4))


def stages_run(output: str) -> list[str]:
    """The stages whose command dvc ran, in order."""
    return re.findall(r"^Running stage '([^']+)'", output, flags=re.MULTILINE)


def epochs_trained(output: str) -> dict[int, int]:
    """How many epochs of each fold were trained, by fold."""
    folds = [int(fold) for fold in re.findall(r"^fold (\d+): epoch +\d+ ", output, flags=re.MULTILINE)]
    return {fold: folds.count(fold) for fold in sorted(set(folds))}
