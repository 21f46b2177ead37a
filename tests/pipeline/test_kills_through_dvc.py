"""`dvc repro` killed in several folds, in several ways, ends with the dvc.lock of an undisturbed run."""

import random
import re
import signal
from pathlib import Path

import pytest

from tests.parallel_kill import (
    Kill,
    Repro,
    kill_dvc,
    kill_group,
    kill_runs,
    kill_worker,
    removed_broken_rwlock,
    results,
    still_alive,
)
from tests.support.clones import Project, epochs_trained, make_clone, stages_run

pytestmark = pytest.mark.slow

LONG = {"epochs": 30, "early_stopping_patience": 30}  # long enough to be killed in several times
# When it is killed, by what it prints, and how.
REPRO_KILLS: list[tuple[str, Kill]] = [
    ("Running stage 'prepare'", kill_dvc(signal.SIGKILL)),
    (r"fold 0: epoch +1 ", kill_dvc(signal.SIGKILL)),
    (r"fold \d: epoch", kill_group(signal.SIGINT)),
    (r"fold \d: epoch", kill_group(signal.SIGKILL)),
    ("Running stage 'train_fold@2'", kill_dvc(signal.SIGTERM)),
    ("Running stage 'aggregate'", kill_group(signal.SIGKILL)),
]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which no stage has run yet."""
    project = make_clone(tmp_path_factory.mktemp("start") / "clone")
    project.set_params(train=LONG)
    project.set_runtime(jobs=2)
    project.run("git", "commit", "-q", "-a", "-m", "longer")
    return project


@pytest.fixture(scope="module")
def undisturbed(start: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = start.copy(tmp_path_factory.mktemp("undisturbed") / "clone")
    project.dvc("repro")
    return project


def killed(project: Project, words: tuple[str, ...], moment: str, kill: Kill) -> str:
    """Starts a dvc command, kills it at the moment, and returns what it printed. Nothing of it is alive 10 s later."""
    repro = Repro(project, *words)
    repro.wait_for(moment)
    assert kill(project, repro)
    assert repro.end() != 0
    assert still_alive(project) == []
    return repro.output


def test_repro_killed_in_several_folds_ends_in_the_lock_of_an_undisturbed_run(
    start: Project, undisturbed: Project, tmp_path: Path
) -> None:
    project = start.copy(tmp_path / "clone")
    outputs = [killed(project, ("repro",), moment, kill) for moment, kill in REPRO_KILLS]
    outputs.append(project.dvc("repro"))
    assert results(project) == results(undisturbed)
    resumed = re.findall(r"^fold (\d): resuming after epoch", "".join(outputs), flags=re.MULTILINE)
    assert len(set(resumed)) > 1
    assert stages_run(outputs[-1]) == ["aggregate"]


def test_a_killed_worker_whose_folds_the_other_finishes_costs_nothing(
    start: Project, undisturbed: Project, tmp_path: Path
) -> None:
    project = start.copy(tmp_path / "clone")
    repro = Repro(project, "repro")
    repro.wait_for(r"fold \d: epoch")
    assert kill_worker(signal.SIGKILL)(project, repro)
    assert repro.end() == 0, repro.output
    assert results(project) == results(undisturbed)


def test_a_worker_that_is_killed_is_named_with_what_to_set(start: Project, tmp_path: Path) -> None:
    project = start.copy(tmp_path / "clone")
    project.set_runtime(jobs=1)
    repro = Repro(project, "repro")
    repro.wait_for(r"fold \d: epoch")
    assert kill_worker(signal.SIGKILL)(project, repro)
    assert repro.end() != 0
    assert "was killed (SIGKILL), most likely because memory was full" in repro.output
    assert "set a smaller train.batch_size" in repro.output


def test_a_worker_that_is_stopped_does_not_hold_up_the_end(start: Project, tmp_path: Path) -> None:
    project = start.copy(tmp_path / "clone")
    repro = Repro(project, "repro")
    repro.wait_for(r"fold \d: epoch")
    assert kill_worker(signal.SIGSTOP)(project, repro)
    assert kill_group(signal.SIGINT)(project, repro)
    assert repro.end() != 0
    assert still_alive(project) == []


def test_a_stage_whose_dvc_was_killed_before_it_looked_ends_at_once(start: Project) -> None:
    for stage in (("fetch",), ("prepare",), ("train_fold", "0")):
        orphan = Project(start.path, {"DVC_STAGE": stage[0]})  # dvc sets it, and no dvc is among our ancestors
        assert "run the same command again" in orphan.run("python", "-m", f"stages.{stage[0]}", *stage[1:], expect=143)


def test_dvc_goes_on_once_the_lock_file_is_removed_that_it_was_killed_in_writing(
    start: Project, tmp_path: Path
) -> None:
    project = start.copy(tmp_path / "clone")
    project.dvc("repro", "fetch")
    assert not removed_broken_rwlock(project)
    (project.path / ".dvc/tmp/rwlock").write_text("")
    assert removed_broken_rwlock(project)
    project.dvc("repro", "fetch")


@pytest.mark.parametrize("words", [("exp", "run"), ("exp", "run", "--temp")], ids=" ".join)
def test_a_killed_experiment_resumes(
    start: Project, undisturbed: Project, tmp_path: Path, words: tuple[str, ...]
) -> None:
    project = start.copy(tmp_path / "clone", AUDIOCNN_CHECKPOINTS=str(tmp_path / "checkpoints"))
    killed(project, words, r"fold 1: epoch +3 ", kill_group(signal.SIGKILL))
    output = project.dvc(*words)
    assert "fold 1: resuming after epoch" in output
    assert epochs_trained(output)[1] < LONG["epochs"]
    name = re.search(r"^Ran experiment\(s\): (\S+)", output, flags=re.MULTILINE)
    assert name is not None
    if "--temp" in words:
        project.dvc("exp", "apply", name[1])
    assert results(project) == results(undisturbed)


def test_random_kills_lose_nothing(tmp_path: Path) -> None:
    """One round of `python -m tests.parallel_kill`."""
    random.seed()
    assert [outcome.lost for outcome in kill_runs(tmp_path, runs=1, kills=3)] == [""]
