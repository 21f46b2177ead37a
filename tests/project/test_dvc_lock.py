"""The committed dvc.lock and metrics/ are those of the code and params beside them."""

import hashlib
from pathlib import Path
from typing import Any

from audiocnn.config.settings import read_yaml
from tests.support.paths import ROOT

# A project of one stage and one fold, whose dvc.lock is right; and edits after which it no longer is.
SMALL = {
    "code.py": "one = 1\n",
    "params.yaml": "folds: [0]\ntrain:\n  lr: 1e-05\n",
    "metrics/table.csv": "fold\n0\n",
    "dvc.yaml": """
stages:
  train:
    foreach: ${folds}
    do:
      cmd: python code.py ${item}
      deps: [data, code.py]
      params: [train]
""",
    "dvc.lock": """
stages:
  train@0:
    cmd: python code.py 0
    deps:
    - {path: code.py, md5: 1259653954ed031bcb670e7b01273c51}
    - {path: data, md5: 00000000000000000000000000000000.dir}
    params:
      params.yaml: {train: {lr: 1e-05}}
    outs:
    - {path: metrics/table.csv, md5: 0e067330ced905da4d7133cc38609955}
""",
}
CHANGES = [
    ("code.py", "1", "2", "code.py"),
    ("params.yaml", "1e-05", "2e-05", "params.yaml, train"),
    ("params.yaml", "[0]", "[0, 1]", "train@1, of which dvc.lock has no record"),
    ("dvc.yaml", "[data, code.py]", "[data]", "code.py"),
    ("dvc.yaml", "code.py ${item}", "code.py -q ${item}", "the command 'python code.py -q 0'"),
    ("metrics/table.csv", "0", "1", "metrics/table.csv"),
]
CURE = "run 'dvc repro', then 'git add dvc.lock metrics' and commit"


def test_dvc_lock_is_that_of_this_code_and_these_params() -> None:
    assert (ROOT / "dvc.lock").exists(), f"dvc.lock is not here: {CURE}"
    outdated = outdated_inputs(ROOT)
    assert not outdated, f"changed since the last 'dvc repro': {', '.join(outdated)}: {CURE}"


def test_the_files_in_metrics_are_those_that_dvc_lock_records() -> None:
    assert (ROOT / "dvc.lock").exists(), f"dvc.lock is not here: {CURE}"
    other = other_metrics(ROOT)
    assert not other, f"not what dvc.lock records: {', '.join(other)}: {CURE}"


def test_a_changed_code_file_param_metric_or_fold_is_named(tmp_path: Path) -> None:
    """The two checks above, on a lock of one stage that is right, and then wrong in one way at a time."""
    (tmp_path / "metrics").mkdir()
    for name, text in SMALL.items():
        (tmp_path / name).write_text(text)
    assert (outdated_inputs(tmp_path), other_metrics(tmp_path)) == ([], [])
    for name, old, new, finding in CHANGES:
        (tmp_path / name).write_text(SMALL[name].replace(old, new))
        assert outdated_inputs(tmp_path) + other_metrics(tmp_path) == [finding]
        (tmp_path / name).write_text(SMALL[name])


def outdated_inputs(root: Path) -> list[str]:
    """What differs between dvc.lock and the files it is of: stages, commands, code files, params.

    `dvc status --json` would not do. It does not notice a dep that dvc.yaml no longer lists (CHANGES has one), and in a
    fresh clone, which has no data/ and no cache, it calls every stage changed.
    """
    params = read_yaml(root / "params.yaml")
    lock = read_yaml(root / "dvc.lock")["stages"]
    found: list[str] = []
    for name, stage in expected_stages(root, params).items():
        if name in lock:
            found += differences(root, stage, lock[name], params)
        else:
            found.append(f"{name}, of which dvc.lock has no record")
    return list(dict.fromkeys(found))  # each once: the folds share their code


def expected_stages(root: Path, params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The stages of dvc.yaml by name, the folds' written out."""
    stages: dict[str, dict[str, Any]] = {}
    for name, stage in read_yaml(root / "dvc.yaml")["stages"].items():
        if "foreach" not in stage:
            stages[name] = stage
            continue
        for fold in params["folds"]:
            stages[f"{name}@{fold}"] = {**stage["do"], "cmd": stage["do"]["cmd"].replace("${item}", str(fold))}
    return stages


def differences(root: Path, stage: dict[str, Any], entry: dict[str, Any], params: dict[str, Any]) -> list[str]:
    """The inputs of one stage that are no longer those of its entry in dvc.lock."""
    recorded = {dep["path"]: dep.get("md5") for dep in entry.get("deps", ())}
    code = [path for path in stage["deps"] if path.endswith(".py")]
    values = entry.get("params", {}).get("params.yaml", {})
    return [
        *([f"the command {stage['cmd']!r}"] if entry["cmd"] != stage["cmd"] else []),
        *sorted(set(stage["deps"]) ^ set(recorded)),
        *(path for path in code if path in recorded and recorded[path] != md5(root / path)),
        *(f"params.yaml, {group}" for group in stage["params"] if values.get(group) != params[group]),
    ]


def other_metrics(root: Path) -> list[str]:
    """The files in metrics/ that dvc.lock records with another digest, or that are missing."""
    outs = [out for entry in read_yaml(root / "dvc.lock")["stages"].values() for out in entry.get("outs", ())]
    recorded = {out["path"]: out.get("md5") for out in outs if out["path"].startswith("metrics/")}
    return [path for path, digest in recorded.items() if digest != md5(root / path)]


def md5(path: Path) -> str | None:
    """What dvc records of a file: the md5 of its bytes; None where there is no file."""
    return hashlib.md5(path.read_bytes()).hexdigest() if path.exists() else None
