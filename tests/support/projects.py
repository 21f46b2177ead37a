"""Projects of the code with tiny data, in which the stages run as processes without DVC."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from audiocnn.config.train_params import TrainParams
from tests.support.paths import ROOT
from tests.support.prepared import write_prepared
from tests.support.processes import environment
from tests.support.training import MODEL, TRAIN


def make_training_project(folder: Path, epochs: int = 6) -> dict[str, Any]:
    """A scratch copy of the code with tiny data and params; returns what subprocess needs to run its stages."""
    for name in ("audiocnn", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", folder)
    write_prepared(folder / "data/prepared")
    train = {**TRAIN.model_dump(), "epochs": epochs, "early_stopping_patience": epochs}
    params = {"folds": [0, 1, 2], "model": MODEL.model_dump(mode="json"), "train": train}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "runtime.yaml").write_text(yaml.safe_dump({"device": "cpu", "jobs": 1, "wandb": {"mode": "disabled"}}))
    return {"cwd": folder, "env": environment(PYTHONDONTWRITEBYTECODE="1")}


def params_of(project: Path) -> TrainParams:
    """The training params of a project."""
    return TrainParams.model_validate(yaml.safe_load((project / "params.yaml").read_text())["train"])


def stage_command(fold: int = 0) -> list[str]:
    """The command of a fold's stage."""
    return [sys.executable, "-m", "stages.train_fold", str(fold)]


def run_stage(setting: dict[str, Any], fold: int = 0, expect: int = 0) -> str:
    """Runs a fold's stage to its end; returns all it printed."""
    done = subprocess.run(
        stage_command(fold), **setting, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, text=True
    )
    output: str = done.stdout
    assert done.returncode == expect, output
    return output
