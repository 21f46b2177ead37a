"""Folds on the machines of a Ray cluster: the local run's bytes, whatever happens to the machines.

One cluster for all tests here, in this order: a head and machines of one core on loopback, whose processes, disks and
environments the tests spoil. Machines do not see the folder `hidden`, as if it were another machine's.
"""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.clones import Project, epochs_trained, make_clone, write_dataset
from tests.support.cluster import ADDRESS, Cluster, why_not
from tests.support.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "a cluster can be started")]
FOLDS = 10
EPOCHS = 80  # of the folds that are disturbed, 0.1 s each: they must not end before a test disturbs them
TWO = ("--folds", "0", "1")
DIES_WITHIN = 10.0  # seconds from the end of a command to the end of all that worked for it
ENGINE = {"kind": "ray", "address": ADDRESS, "ship_every": 0.5, "lost_after": 5}


@dataclass(frozen=True)
class Runs:
    """The cluster, and a local run of ten folds to compare with. start: a clone before its first fold."""

    folder: Path
    cluster: Cluster
    start: Project
    local: Project

    def clone(self, name: str, **train: Any) -> Project:
        """A new clone that trains on the cluster. Those below `hidden` are not seen by its machines."""
        project = self.start.copy(self.folder / name, **self.cluster.variables)
        project.set_runtime(device="cpu", engine=ENGINE)
        if train:
            project.set_params(train=train)
        return project


class Run:
    """A command in the cluster's namespace, its output in a file."""

    def __init__(self, runs: Runs, project: Project, *words: str) -> None:
        self.log = project.path / ".dvc/tmp/run.log"
        command = project.command(*runs.cluster.prefix, *(words or ("audiocnn", "train", *TWO, "--model-dir", "out")))
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                **command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str) -> str:
        """The first match of a pattern in what it prints."""
        wait_until(lambda: re.search(pattern, self.output) or self.process.poll() is not None)
        found = re.search(pattern, self.output)
        assert found, self.output
        return found[0]

    def end(self, expect: int = 0) -> str:
        """All that it printed, once it has ended as expected."""
        code = self.process.wait(timeout=180)
        assert code == expect, self.output
        return self.output


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("ray")
    (folder / "hidden").mkdir()
    start = make_clone(folder / "start")
    shutil.rmtree(start.path / "dataset")
    write_dataset(start.path / "dataset", FOLDS)
    start.set_params(folds=list(range(FOLDS)))
    local = start.copy(folder / "local")
    local.dvc("repro")
    start.dvc("repro", "prepare")
    cluster = Cluster(folder / "hidden")
    try:
        cluster.start_head()
        cluster.only(2, 3)
        yield Runs(folder, cluster, start, local)
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def undisturbed(runs: Runs) -> dict[str, bytes]:
    """The results of two longer folds, trained locally."""
    project = runs.start.copy(runs.folder / "undisturbed")
    project.set_params(train={"epochs": EPOCHS, "early_stopping_patience": EPOCHS})
    project.run("audiocnn", "train", *TWO, "--model-dir", "out")
    return results(project)


def results(project: Project) -> dict[str, bytes]:
    out = project.path / "out"
    return {path.name: path.read_bytes() for path in [*out.glob("*.safetensors"), *out.glob("folds/*")]}


def longer(runs: Runs, name: str) -> Project:
    return runs.clone(name, epochs=EPOCHS, early_stopping_patience=EPOCHS)


def is_as_local(runs: Runs, project: Project) -> None:
    assert project.lock() == runs.local.lock()
    for folder in ("metrics", "results/folds", "models"):
        files = sorted(path.name for path in (runs.local.path / folder).iterdir() if path.is_file())
        for name in files:
            assert project.read(f"{folder}/{name}") == runs.local.read(f"{folder}/{name}"), name


def alive(runs: Runs) -> list[psutil.Process]:
    """The processes of ours that work in the clones here, or in a machine's scratch."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_ours = any(word.startswith("audiocnn.folds.") for word in process.cmdline())
            cwd = Path(process.cwd())
            if is_ours and any(cwd.is_relative_to(folder) for folder in (runs.folder, runs.cluster.folder)):
                found.append(process)
    return found


def all_are_gone(runs: Runs) -> None:
    end = time.monotonic() + DIES_WITHIN
    while (left := alive(runs)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left


def test_ten_folds_through_dvc_end_in_the_local_bytes_with_nothing_shared(runs: Runs) -> None:
    project = runs.clone("hidden/clone")
    project.set_runtime(engine=ENGINE)  # device: auto asks the cluster
    said = Run(runs, project, "dvc", "repro").end()
    is_as_local(runs, project)
    assert epochs_trained(said) == epochs_trained_locally(runs)
    assert "over a shared disk" not in said
    assert re.search(r"^cluster: 2 machines with 2 slots", said, re.MULTILINE)
    shown = Run(runs, project, "audiocnn", "status").end()
    assert len(re.findall(r"finished.*\(127\.0\.0\.[23]\)$", shown, re.MULTILINE)) == FOLDS
    for scratch in (machine.scratch for machine in runs.cluster.machines.values()):
        assert list((scratch / "folds").iterdir()) == []


def test_the_network_on_all_clips_trains_there_as_well_in_the_local_bytes(runs: Runs) -> None:
    local = runs.local.copy(runs.folder / "all_clips_here")
    local.run("audiocnn", "train", "--all-clips")
    project = runs.local.copy(runs.folder / "all_clips_there", **runs.cluster.variables)
    project.set_runtime(device="cpu", engine=ENGINE)
    printed = Run(runs, project, "audiocnn", "train", "--all-clips").end()
    assert re.search(r"^all clips: epoch  0 ", printed, re.MULTILINE)
    assert "fold -1" not in printed
    for name in ("models/model_all_clips.safetensors", "models/model_all_clips.json"):
        assert project.read(name) == local.read(name), name


def test_a_disk_that_the_machines_see_is_used_and_changes_no_byte(runs: Runs) -> None:
    project = runs.clone("seen")
    said = Run(runs, project).end()
    assert said.count("over a shared disk") == 2
    for name, content in results(project).items():
        folder = "results/folds" if name.endswith(".json") else "models"
        assert content == runs.local.read(f"{folder}/{name}")
    assert not (project.path / "checkpoints/transfer").exists()


def epochs_trained_locally(runs: Runs) -> dict[int, int]:
    return {fold: len(runs.local.json(f"results/folds/fold_{fold}.json")["history"]["loss"]) for fold in range(FOLDS)}


def test_what_is_uploaded_and_shown_elsewhere_comes_by_way_of_the_command(runs: Runs) -> None:
    """Each epoch's weights wait here for the Hub, which is out of reach; W&B's runs, offline, are kept here."""
    project = runs.clone("hidden/told")
    hub = {"model_repo": "owner/name", "upload": "epochs"}
    project.set_runtime(device="cpu", engine=ENGINE, hub=hub, wandb={"mode": "offline"})
    offline = Project(project.path, {**project.environment, "WANDB_MODE": "offline"})
    said = Run(runs, offline, "audiocnn", "train", *TWO, "--model-dir", "out").end()
    for fold in (0, 1):
        (folder,) = project.path.glob(f"checkpoints/fold_{fold}-*")
        epochs = range(epochs_trained_locally(runs)[fold])
        assert {path.name for path in folder.glob("epoch_*.safetensors")} == {f"epoch_{e}.safetensors" for e in epochs}
    assert "hub: no uploads in this run" in said
    runs_of_folds = [path for path in project.path.glob("wandb/offline-run-*-fold_*") if path.is_dir()]
    assert len(runs_of_folds) == 2


def test_a_machine_that_dies_with_its_disk_costs_what_had_not_come_here(
    runs: Runs, undisturbed: dict[str, bytes]
) -> None:
    """Then no machine is left; the fold waits, says so, and goes on where one joins late."""
    project = longer(runs, "hidden/died")
    run = Run(runs, project)
    for fold in (0, 1):
        run.wait_for(rf"fold {fold}: epoch  4")
    runs.cluster.kill(2)
    run.wait_for("lost on .*127.0.0.2.*: the machine died or left; it goes on after epoch")
    runs.cluster.kill(3)
    run.wait_for("waiting for machines: 0 of 0 slots")
    runs.cluster.only(4, 5)
    said = run.end()
    assert results(project) == undisturbed
    assert max(epochs_trained(said).values()) < 2 * EPOCHS


def test_a_machine_that_freezes_loses_its_fold_and_does_no_harm_when_it_thaws(
    runs: Runs, undisturbed: dict[str, bytes]
) -> None:
    runs.cluster.only(4, 5)
    project = longer(runs, "hidden/froze")
    run = Run(runs, project)
    number = int(run.wait_for(r"fold 0: trains on .*127\.0\.0\.\d")[-1])
    run.wait_for(r"fold 0: epoch  7")
    runs.cluster.machines[number].freeze()
    run.wait_for(r"fold 0: lost on .*(silent for \d+ s|died or left); it goes on after epoch")
    runs.cluster.machines[number].thaw()
    run.end()
    assert results(project) == undisturbed
    runs.cluster.kill(number)  # Ray has given it up


def test_nothing_trains_on_when_the_command_is_stopped_or_killed(runs: Runs, undisturbed: dict[str, bytes]) -> None:
    """By Ctrl-C, and by SIGKILL; then the same command resumes, over what a machine's disk has made of its code."""
    runs.cluster.only(4, 5)
    project = longer(runs, "hidden/stopped")
    for moment, signum, code in (("epoch  3", signal.SIGINT, 130), ("epoch", signal.SIGKILL, -signal.SIGKILL)):
        run = Run(runs, project)
        run.wait_for(f"fold [01]: {moment}")
        run.process.send_signal(signum)
        run.end(code)
        all_are_gone(runs)
    for machine in runs.cluster.machines.values():
        (path,) = machine.scratch.glob("data/*/features.npy")
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        (path,) = machine.scratch.glob("code/*/audiocnn/training/loop.py")
        path.write_text("raise SystemExit('other code')")
    said = Run(runs, project).end()
    assert results(project) == undisturbed
    assert "resuming after epoch" in said
    for machine in runs.cluster.machines.values():  # the folders of the killed are swept
        assert list((machine.scratch / "folds").iterdir()) == []


def test_machines_that_cannot_compute_the_same_are_refused_with_a_sentence_each(runs: Runs) -> None:
    """One has another torch, one another kind of CPU, by force, and one a full disk."""
    other = runs.folder / "other"
    (other / "torch/torch-9.9.dist-info").mkdir(parents=True)
    (other / "torch/torch-9.9.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9\n")
    (other / "cpu").mkdir()
    (other / "cpu/sitecustomize.py").write_text("import os; os.putenv('ONEDNN_MAX_CPU_ISA', 'SSE41')")
    runs.cluster.only()
    runs.cluster.start(6, variables={"PYTHONPATH": str(other / "torch")})
    runs.cluster.start(7, variables={"PYTHONPATH": str(other / "cpu")})
    runs.cluster.start(8, setup="mount -t tmpfs -o size=100k none SCRATCH;")
    project = runs.clone("hidden/refused")
    said = Run(runs, project, "audiocnn", "train", "--folds", "0", "1", "2", "--model-dir", "out").end(1)
    assert re.search(r"127\.0\.0\.6\): it has 9\.9, expected torch ", said), said
    assert re.search(r"127\.0\.0\.7\): it computes other bits", said), said
    assert re.search(r"127\.0\.0\.8\): it cannot use .*: No space left on device", said), said
    assert "error: no machine of the cluster can train: " in said
    assert results(project) == {}


def test_with_native_arithmetic_a_fold_goes_on_on_its_own_kind_unless_one_says_so(runs: Runs) -> None:
    runs.cluster.only(2)
    project = runs.clone("hidden/native", epochs=EPOCHS, early_stopping_patience=EPOCHS, arithmetic="native")
    words = ("audiocnn", "train", "--folds", "0", "--model-dir", "out")
    run = Run(runs, project, *words)
    run.wait_for(r"fold 0: epoch  4")
    run.process.send_signal(signal.SIGINT)
    run.end(130)
    runs.cluster.only()
    runs.cluster.start(7, variables={"ONEDNN_MAX_CPU_ISA": "SSE41"})
    said = Run(runs, project, *words).end(1)
    assert re.search(r"no machine that computes the same bits is left: .*127\.0\.0\.7", said), said
    project.set_runtime(device="cpu", engine={**ENGINE, "mix_kinds": True})
    assert "resuming after epoch" in Run(runs, project, *words).end()


def test_a_wrong_token_an_open_address_and_no_address_are_a_sentence_each(runs: Runs) -> None:
    project = runs.clone("hidden/token")
    words = ("audiocnn", "train", "--folds", "0")
    token = runs.folder / "wrong"
    token.write_text("0" * 64)
    wrong = Project(project.path, {**runs.cluster.variables, "RAY_AUTH_TOKEN_PATH": str(token)})
    assert "does not let us in: is RAY_AUTH_MODE" in Run(runs, wrong, *words).end(1)
    project.set_runtime(device="cpu", engine={"kind": "ray", "address": "10.1.2.3:6379"})
    assert "RAY_AUTH_MODE is not token" in Project(project.path).run(*words, expect=1)
    project.set_runtime(device="cpu", engine={"kind": "ray"})
    assert "neither engine.address nor RAY_ADDRESS" in Project(project.path).run(*words, expect=1)
    project.set_runtime(device="cpu", engine={"kind": "ray", "address": "127.0.0.1:1"})
    assert "no Ray cluster answers at 127.0.0.1:1" in Project(project.path).run(*words, expect=1)


def test_a_dead_head_is_an_error_in_a_sentence(runs: Runs) -> None:
    runs.cluster.only(2)
    project = longer(runs, "hidden/headless")
    run = Run(runs, project)
    run.wait_for("fold 0: epoch  2")
    assert runs.cluster.head is not None
    runs.cluster.head.kill()
    said = run.end(1)
    assert f"error: the Ray cluster at {ADDRESS} is gone" in said
    all_are_gone(runs)
