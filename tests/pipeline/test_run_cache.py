"""docs/run-cache.md: its blocks, as they stand there, train the folds in several clones and aggregate in another.

The machines are folders, and `sbatch`, `ssh` and `scp` run here what they would have run elsewhere. The tiny dataset
has three folds instead of ten.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.support.clones import EPOCHS, Project, epochs_trained, make_clone, stages_run
from tests.support.documents import Block, blocks
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow
DOCUMENT = blocks(ROOT / "docs/run-cache.md")
FEWER_FOLDS = {"--array=0-9": "--array=1-2", "0 2 4 6 8": "0 2", "1 3 5 7 9": "1"}
STAND_INS = {
    "sbatch": """
for word; do
  case $word in --array=*) array=${word#*=} ;; --*) ;; *) script=$word ;; esac
done
: "${array:=$(sed -n 's/^#SBATCH --array=//p' "$script")}"
export SLURM_SUBMIT_DIR=$PWD
for index in $(seq "${array%-*}" "${array#*-}"); do SLURM_ARRAY_TASK_ID=$index bash "$script" >&2; done
[ "$array" ] || bash "$script" >&2
echo 1234
""",
    "ssh": '[ "$1" = -n ] && shift; cd "$HOSTS/$1" && shift && exec bash -c "$*" < /dev/null',
    "scp": 'cp "$2" "$HOSTS/${3%:}/"',
}


@dataclass
class Machines:
    """A folder with a clone for each machine, the remote, and what was said where."""

    folder: Path
    main: Project
    said: dict[str, str] = field(default_factory=dict)

    def clone(self, name: str) -> Project:
        """A fresh clone with an environment to activate, and the stand-ins on its path."""
        self.main.run("git", "clone", "-q", ".", str(self.folder / name))
        return self.machine(name)

    def machine(self, name: str) -> Project:
        project = Project(self.folder / name, self.main.environment)
        (project.path / ".venv/bin").mkdir(parents=True)
        (project.path / ".venv/bin/activate").touch()
        return project

    def run(self, name: str, project: Project, block: Block) -> str:
        """Types a block's commands into one shell."""
        script = "\n".join(command.text for command in block.commands)
        self.said[name] = project.run("bash", "-euo", "pipefail", "-c", fewer_folds(script))
        return self.said[name]


def fewer_folds(text: str) -> str:
    for ours, theirs in FEWER_FOLDS.items():
        text = text.replace(ours, theirs)
    return text


def block(*words: str) -> Block:
    """The one block with these words."""
    (found,) = [block for block in DOCUMENT if all(word in block.text for word in words)]
    return found


def write_scripts(project: Project) -> None:
    """The scripts of the document, under the names that it gives them."""
    scripts = {"fold.sbatch": "#SBATCH --array", "head.sbatch": "afterok", "worker.sh": "# worker.sh"}
    for name, words in scripts.items():
        found = block(words) if name != "head.sbatch" else DOCUMENT[DOCUMENT.index(block("#SBATCH --array")) + 1]
        (project.path / name).write_text(fewer_folds(found.text))


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Machines:
    """All that the document describes, done in this order: each way finds the folds of those before it."""
    folder = tmp_path_factory.mktemp("machines")
    for name, script in STAND_INS.items():
        (folder / name).write_text(f"#!/bin/bash\n{script}")
        (folder / name).chmod(0o755)
    project = make_clone(folder / "main")
    path = project.command()["env"]["PATH"]
    variables = {"PATH": f"{folder}{os.pathsep}{path}", "HOSTS": str(folder), "TMPDIR": str(folder)}
    machines = Machines(folder, Project(project.path, variables))
    (folder / "remote").mkdir()
    machines.run("prepare", machines.main, block("remote add"))
    machines.run("worker", machines.clone("worker"), block("$ dvc repro --pull --single-item"))
    machines.run("which", machines.clone("curious"), block("xargs"))
    on_github(machines)
    on_slurm(machines)
    over_ssh(machines)
    return machines


def on_github(machines: Machines) -> None:
    """Fold 1 in one checkout; then the head in another, where fold 2 is missing."""
    jobs = yaml.safe_load(block("workflow_dispatch").text)["jobs"]
    for name, job in jobs.items():
        runner = machines.clone(f"github {name}")
        summary = Project(runner.path, {**runner.environment, "GITHUB_STEP_SUMMARY": str(machines.folder / "summary")})
        steps = [step["run"].replace("${{ matrix.fold }}", "1") for step in job["steps"] if "run" in step]
        assert steps.pop(0).startswith("pip install ")  # from the network
        machines.said[f"github {name}"] = summary.run("bash", "-euo", "pipefail", "-c", "\n".join(steps))


def on_slurm(machines: Machines) -> None:
    cluster = machines.clone("cluster")
    write_scripts(cluster)
    machines.run("slurm", cluster, block("$ sbatch"))


def over_ssh(machines: Machines) -> None:
    for host in ("alpha", "beta"):
        (machines.folder / host).mkdir()
        machines.clone(f"{host}/audiocnn")
    machines.machine("main")
    write_scripts(machines.main)
    machines.run("ssh", machines.main, block("$ ssh"))


def test_each_machine_trains_the_folds_that_are_missing_and_no_other(machines: Machines) -> None:
    trained = {name: set(epochs_trained(output)) for name, output in machines.said.items()}
    assert trained == {
        "prepare": set(),
        "worker": {0},
        "which": set(),
        "github fold": {1},
        "github aggregate": {2},
        "slurm": {2},  # what the head before did not push with --run-cache
        "ssh": set(),
    }
    assert all(set(epochs_trained(output).values()) <= {EPOCHS} for output in machines.said.values())


def test_the_head_trains_nothing_and_ends_as_one_machine_alone_does(machines: Machines, trained: Project) -> None:
    assert stages_run(machines.said["ssh"]) == ["aggregate"]
    assert not (machines.main.path / "checkpoints").exists()
    for name in ("main", "cluster", "github aggregate"):
        head = Project(machines.folder / name)
        assert head.lock() == trained.lock()
        metrics = sorted(path.name for path in (trained.path / "metrics").iterdir())
        assert metrics == sorted(path.name for path in (head.path / "metrics").iterdir())
        assert all(head.read(f"metrics/{name}") == trained.read(f"metrics/{name}") for name in metrics)
    assert "AudioCNN, 3 folds" in (machines.folder / "summary").read_text()


def test_the_records_in_the_remote_say_which_folds_are_there(machines: Machines) -> None:
    there = re.findall(r"^folds/fold_\d+$", machines.said["which"], re.MULTILINE)
    assert there == list(block("xargs").commands[-1].shown)


def test_every_block_of_the_document_is_run_here(machines: Machines) -> None:
    """But for the worker's and the head's commands alone, which all others contain."""
    run = [
        "remote add",
        "$ dvc repro --pull --s",
        "xargs",
        "workflow_d",
        "--array",
        "$ sbatch",
        "# worker",
        "$ ssh",
    ]
    head = [one for one in DOCUMENT if "AUDIOCNN_JOBS=1 dvc repro --pull" in one.text and len(one.commands) < 2]
    assert {one.line for one in DOCUMENT} <= {block(words).line for words in run} | {one.line for one in head}
