"""The network on all clips beside a pipeline: DVC neither removes it nor runs for it, and `predict` stays as it was."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.clones import FRAMES, MELS, Project, stages_run

WEIGHTS = "models/model_all_clips.safetensors"
pytestmark = pytest.mark.slow


@pytest.fixture
def shipped(trained: Project, tmp_path: Path) -> Project:
    """A clone with the folds' results as DVC restores them, and a spectrogram."""
    project = trained.copy(tmp_path / "clone")
    shutil.rmtree(project.path / "checkpoints")
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).normal(size=(MELS, FRAMES)).astype(np.float32))
    return project


def cli(project: Project, *words: str) -> str:
    return project.run("python", "-m", "audiocnn", *words)


def answer(project: Project, *options: str) -> dict[str, Any]:
    printed = cli(project, "predict", "../clip.npy", "--json", *options)
    line: dict[str, Any] = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))
    return line


def test_dvc_leaves_it_alone_and_runs_no_stage_for_it(shipped: Project) -> None:
    before = answer(shipped)
    cli(shipped, "train", "--all-clips")
    content = shipped.read(WEIGHTS)
    assert answer(shipped) == before
    assert answer(shipped, "--models", WEIGHTS)["probabilities"] != before["probabilities"]
    assert stages_run(shipped.dvc("repro")) == []
    (shipped.path / "models/model_fold_0_best.safetensors").unlink()
    shipped.dvc("checkout")
    assert shipped.dvc("status").strip() == "Data and pipelines are up to date."
    assert shipped.read(WEIGHTS) == content
    assert shipped.run("git", "status", "--porcelain") == ""
