"""What other machines send of a fold counts by its sha256 and its KEY, and never takes a fold back."""

import json
from pathlib import Path

import pytest

from audiocnn.checkpoints.folder import TRAINING_STATE
from audiocnn.checkpoints.training_state import load_training_state_json, save_training_state_json
from audiocnn.folds.landing import Landing, UnbelievedError
from audiocnn.folds.machines import Machine, kinds_note, machine_of, write_machine
from audiocnn.training.state import FoldJob
from tests.support.prepared import write_prepared
from tests.support.training import make_job, result_bytes, train_until

Sent = tuple[bytes, dict[str, bytes | None]]


@pytest.fixture
def job(tmp_path: Path) -> FoldJob:
    """A fold whose folder is another machine's."""
    write_prepared(tmp_path / "prepared")
    return make_job(tmp_path / "prepared", tmp_path / "there")


@pytest.fixture
def here(tmp_path: Path, job: FoldJob) -> Landing:
    (tmp_path / "transfer").mkdir()
    return Landing(tmp_path / "here", job.fold, job.key, tmp_path / "transfer")


def sent(job: FoldJob) -> Sent:
    """The state of a fold as it is committed there, and its files."""
    state = (job.folder / TRAINING_STATE).read_bytes()
    return state, {name: (job.folder / name).read_bytes() for name in json.loads(state)["files"]}


def test_a_fold_that_lands_resumes_and_finishes_as_if_it_had_trained_here(
    tmp_path: Path, job: FoldJob, here: Landing
) -> None:
    train_until(job, epoch=2)
    assert here.land(*sent(job)) == 3
    landed = here.committed()
    assert landed is not None
    assert landed[0] == sent(job)[0]
    assert landed[1] == sent(job)[1]
    train_until(job)
    assert here.land(*sent(job)) == 6
    assert result_bytes(tmp_path / "here") == result_bytes(job.folder)
    assert {path.name for path in (tmp_path / "here").iterdir()} == {path.name for path in job.folder.iterdir()}


def test_files_on_a_shared_disk_land_by_their_digest(tmp_path: Path, job: FoldJob, here: Landing) -> None:
    train_until(job, epoch=1)
    state, files = sent(job)
    for name, digest in json.loads(state)["files"].items():
        (tmp_path / "transfer" / digest).write_bytes(files[name] or b"")
    assert here.land(state, dict.fromkeys(files)) == 2
    assert list((tmp_path / "transfer").iterdir()) == []
    assert here.committed() == (state, files)


def test_an_attempt_that_was_taken_for_lost_does_not_take_a_fold_back(job: FoldJob, here: Landing) -> None:
    train_until(job, epoch=1)
    late = sent(job)
    train_until(job, epoch=3)
    here.land(*sent(job))
    assert here.land(*late) == 4
    assert here.committed() == sent(job)


@pytest.mark.parametrize("what", ["a byte", "a file", "the state", "the key", "the name"])
def test_what_is_not_what_it_says_commits_nothing(tmp_path: Path, job: FoldJob, here: Landing, what: str) -> None:
    train_until(job, epoch=0)
    here.land(*sent(job))
    before = here.committed()
    train_until(job, epoch=1)
    state, files = sent(job)
    if what == "a byte":
        files["epoch_1.pt"] = (files["epoch_1.pt"] or b"")[:-1] + b"x"
    elif what == "a file":
        del files["epoch_1.pt"]
    elif what == "the state":
        state = state.replace(b'"last_epoch": 2', b'"last_epoch": 9')
    else:
        told = load_training_state_json(job.folder, job.fold)
        if what == "the key":
            told["key"] = "0" * 64
        else:
            told["files"]["../outside"] = told["files"]["epoch_1.pt"]
            files["../outside"] = files["epoch_1.pt"]
        save_training_state_json(job.folder, told)
        state = (job.folder / TRAINING_STATE).read_bytes()
    with pytest.raises(UnbelievedError):
        here.land(state, files)
    assert here.committed() == before
    assert not (tmp_path / "outside").exists()


def test_folds_of_several_kinds_of_arithmetic_are_named_and_of_one_kind_are_not(tmp_path: Path) -> None:
    keys = {fold: f"{fold}" * 64 for fold in range(4)}
    machine: Machine = {"machine": "alpha", "cpu": "a CPU", "kind": "a" * 64, "attempt": 1}
    for fold in (0, 2):
        write_machine(tmp_path / f"fold_{fold}-{keys[fold][:16]}", machine)
    assert kinds_note(tmp_path, keys) == ""
    write_machine(tmp_path / f"fold_3-{keys[3][:16]}", {**machine, "kind": "b" * 64, "cpu": "another"})
    assert "2 kinds of arithmetic, [0, 2] by kind aaaaaaaa (a CPU); [3] by kind bbbbbbbb (another)" in kinds_note(
        tmp_path, keys
    )
    assert machine_of(tmp_path / "fold_1") is None
