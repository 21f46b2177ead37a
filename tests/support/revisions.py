"""Git repositories whose commits hold results that are made up, for what compares them."""

import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CODE = "audiocnn/model/network.py"
RECALLS = {"dog bark": 0.75, "siren": 0.5}


def git(folder: Path, *arguments: str) -> str:
    """What a git command prints; it is an error when it fails."""
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def write_results(
    root: Path,
    accuracies: Mapping[int, float],
    *,
    lr: object = 0.001,
    data: str = "aaaa.dir",
    validation: str = "held_out",
    classes: Mapping[str, float] = RECALLS,
    code: str = "one\n",
) -> None:
    """The committed files of a run. accuracies: by fold; test_acc where the held-out fold does not validate."""
    metrics = root / "metrics"
    metrics.mkdir(exist_ok=True)
    val, test = ",val_acc,val_loss", ",test_acc,test_loss"
    columns = {"held_out": val, "previous_fold": val + test, "none": test}[validation]
    header = f"fold,dataset_fold,best_epoch,epochs{columns}"
    rows = [f"{fold},{fold + 1},3,6{_measured(accuracy, validation)}" for fold, accuracy in accuracies.items()]
    (metrics / "folds.csv").write_text("\n".join([header, *rows, ""]))
    recalls = [f"{name},20,{recall:.6f},0.100000" for name, recall in classes.items()]
    (metrics / "classes.csv").write_text("\n".join(["class,clips,recall_mean,recall_std", *recalls, ""]))
    (root / CODE).parent.mkdir(parents=True, exist_ok=True)
    (root / CODE).write_text(code)
    params: dict[str, Any] = {"train": {"lr": lr, "seed": 0}, "folds": list(accuracies)}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    deps = [{"path": CODE, "md5": hashlib.md5(code.encode()).hexdigest()}, {"path": "data/prepared", "md5": data}]
    fold = {"deps": deps, "params": {"params.yaml": {"train": params["train"]}}}
    stages = {f"train_fold@{k}": fold for k in accuracies}
    lock = {"schema": "2.0", "stages": {"aggregate": {"params": {"params.yaml": {"folds": [*accuracies]}}}} | stages}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock))


def _measured(accuracy: float, validation: str) -> str:
    """The cells of folds.csv from val_acc on."""
    test = f",{accuracy:.6f},{2 - accuracy:.6f}"
    return {"held_out": f",{accuracy:.6f},1.000000", "previous_fold": f",0.500000,1.000000{test}", "none": test}[
        validation
    ]


def commit_and_tag(root: Path, message: str) -> None:
    """Commits everything, and tags the commit with the message."""
    git(root, "add", "-A")
    git(root, "commit", "-qm", message)
    git(root, "tag", message)
