"""A damaged checkpoint is found to be damaged, said to be, and the one before it is used: never garbage."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from audiocnn.checkpoints.folder import BEST_MODEL, TRAINING_STATE, result_names
from audiocnn.checkpoints.pytorch import FORMAT, load_pytorch, save_pytorch
from audiocnn.checkpoints.training_state import load_training_state_json, read_finished, save_training_state_json
from audiocnn.checkpoints.verified import DamagedCheckpointError
from audiocnn.config.train_params import TrainParams
from audiocnn.data.dataset import FoldData
from audiocnn.training import loop
from audiocnn.training.state import FoldJob, FoldState
from tests.support.prepared import write_prepared
from tests.support.training import TRAIN, make_job, result_bytes, train_until

SEVEN = TrainParams(**{**TRAIN.model_dump(), "epochs": 7})
FOLD = 2  # its best epochs are 0 and then 6
RESULTS = result_names(FOLD)
Damage = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FoldJob:
    """A fold that was never disturbed."""
    root = tmp_path_factory.mktemp("finished")
    write_prepared(root / "prepared")
    job = make_job(root / "prepared", root / "checkpoints", SEVEN, FOLD)
    train_until(job)
    history = json.loads(result_bytes(job.folder, FOLD)[RESULTS[1]])["history"]["val_accuracy"]
    assert history.index(max(history)) == 6
    assert history.index(max(history[:6])) == 0
    return job


@pytest.fixture
def job(finished: FoldJob, tmp_path: Path) -> FoldJob:
    """The same fold, killed before it could write its results."""
    job = make_job(finished.prepared, tmp_path, SEVEN, FOLD)
    shutil.copytree(finished.folder, job.folder)
    state = load_training_state_json(job.folder, FOLD)
    files = {name: sha256 for name, sha256 in state["files"].items() if name not in RESULTS}
    save_training_state_json(job.folder, {**state, "files": files, "finished": False})
    for name in RESULTS:
        (job.folder / name).unlink()
    return job


def damaged(content: bytes) -> Iterator[bytes]:
    """Truncated to every length in the first and last 4 KiB and 500 others; then with a bit flipped, 500 times."""
    dice, size = random.Random(0), len(content)
    lengths = {*range(min(4096, size)), *range(max(0, size - 4096), size), *(dice.randrange(size) for _ in range(500))}
    for length in sorted(lengths):
        yield content[:length]
    for bit in (dice.randrange(8 * size) for _ in range(500)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["epoch_6.pt", BEST_MODEL])
def test_every_truncation_and_every_flipped_bit_of_a_checkpoint_is_found(
    name: str, finished: FoldJob, tmp_path: Path
) -> None:
    content, path = (finished.folder / name).read_bytes(), tmp_path / name
    sha256 = load_training_state_json(finished.folder, FOLD)["files"][name]
    for broken in damaged(content):
        path.write_bytes(broken)
        assert not loads(path, sha256)
    path.write_bytes(content)
    assert loads(path, sha256)


def loads(path: Path, sha256: str) -> bool:
    try:
        return bool(load_pytorch(path, sha256))
    except DamagedCheckpointError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("name", RESULTS)
def test_every_truncation_and_every_flipped_bit_of_a_result_is_found(
    name: str, finished: FoldJob, tmp_path: Path
) -> None:
    shutil.copytree(finished.folder, folder := tmp_path / "fold")
    for broken in damaged((finished.folder / name).read_bytes()):
        (folder / name).write_bytes(broken)
        assert read_finished(folder, FOLD, finished.key) is None
    assert read_finished(finished.folder, FOLD, finished.key) == result_bytes(finished.folder, FOLD)


def test_a_damaged_state_file_counts_as_none(finished: FoldJob, tmp_path: Path) -> None:
    content, path = (finished.folder / TRAINING_STATE).read_bytes(), tmp_path / TRAINING_STATE
    for broken in damaged(content):
        path.write_bytes(broken)
        if broken != content[:-1]:  # all but the final newline is there, so its checksum is right
            assert load_training_state_json(tmp_path, FOLD) == {"last_fold": FOLD, "last_epoch": 0}


def test_torch_alone_would_take_most_flipped_bits_for_good(finished: FoldJob, tmp_path: Path) -> None:
    """Why there is a sha256."""
    content, path = (finished.folder / "epoch_6.pt").read_bytes(), tmp_path / "epoch_6.pt"
    accepted = 0
    for broken in list(damaged(content))[-100:]:
        path.write_bytes(broken)
        try:
            torch.load(path, weights_only=True)
            accepted += 1
        except Exception:  # noqa: BLE001  # torch raises a dozen kinds
            continue
    assert accepted > 50


def damage(job: FoldJob, name: str, how: Damage = lambda content: content[: len(content) // 2]) -> None:
    path = job.folder / name
    path.write_bytes(how(path.read_bytes()))


@pytest.mark.parametrize(
    "how",
    [lambda content: b"", lambda content: content[:-1], lambda content: content[:500] + b"?" + content[501:]],
    ids=["empty", "truncated", "flipped"],
)
def test_the_epoch_before_a_damaged_one_is_used_and_the_end_is_the_same(
    how: Damage, job: FoldJob, finished: FoldJob
) -> None:
    """Epoch 6 is the best: without it, the best of epoch 5's time must still be there."""
    damage(job, "epoch_6.pt", how)
    ran = train_until(job)
    assert len(ran.said) == 2
    assert "epoch_6.pt is damaged" in ran.said[0]
    assert ran.said[0].endswith("trying the checkpoint before it")
    assert ran.said[1] == "resuming after epoch 5"
    assert ran.trained == [6]
    assert result_bytes(job.folder, FOLD) == result_bytes(finished.folder, FOLD)


# Loss and accuracy by epoch. Of the equals 0 and 1, previous_fold takes the lower loss; 4 is the best in the end.
TIES = [(1.0, 0.8), (0.5, 0.8), (0.9, 0.7), (0.9, 0.7), (0.4, 0.9)]


def test_a_damaged_best_epoch_costs_one_epoch_where_the_loss_chose_the_best_before_it_among_equals(
    finished: FoldJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def validate(state: FoldState, data: FoldData) -> dict[str, float]:
        return dict(zip(("val_loss", "val_accuracy"), TIES[state.progress.epochs_done], strict=True))

    monkeypatch.setattr(loop, "validate", validate)
    train = TrainParams(**{**TRAIN.model_dump(), "epochs": len(TIES), "validation": "previous_fold"})
    undisturbed, job = (make_job(finished.prepared, tmp_path / name, train, FOLD) for name in ("one", "other"))
    train_until(undisturbed)
    train_until(job, 4)
    damage(job, "epoch_4.pt")
    ran = train_until(job)
    assert ran.said[1:] == ["resuming after epoch 3"]
    assert ran.trained == [4]
    assert result_bytes(job.folder, FOLD) == result_bytes(undisturbed.folder, FOLD)


def test_a_missing_checkpoint_is_one_that_cannot_be_used(job: FoldJob, finished: FoldJob) -> None:
    (job.folder / "epoch_6.pt").unlink()
    ran = train_until(job)
    assert "epoch_6.pt is missing" in ran.said[0]
    assert ran.trained == [6]
    assert result_bytes(job.folder, FOLD) == result_bytes(finished.folder, FOLD)


def test_the_best_epoch_is_used_where_the_last_two_are_damaged(job: FoldJob, finished: FoldJob) -> None:
    for name in ("epoch_6.pt", "epoch_5.pt"):
        damage(job, name)
    ran = train_until(job)
    assert ran.said[-1] == "resuming after epoch 0"
    assert ran.trained == [1, 2, 3, 4, 5, 6]
    assert result_bytes(job.folder, FOLD) == result_bytes(finished.folder, FOLD)


def test_training_starts_over_where_no_checkpoint_is_left(job: FoldJob, finished: FoldJob) -> None:
    for path in job.folder.glob("*.pt"):
        damage(job, path.name)
    ran = train_until(job)
    assert ran.said[-1] == "no usable checkpoint is left: training starts over"
    assert ran.trained == list(range(7))
    assert result_bytes(job.folder, FOLD) == result_bytes(finished.folder, FOLD)


@pytest.mark.parametrize("state", [b"", b"{}", b"\xff", b'{"format": 1, "last_epoch": 3, "sha256": "0"}', b"[1]"])
def test_training_starts_over_where_the_state_file_is_damaged(state: bytes, job: FoldJob, finished: FoldJob) -> None:
    (job.folder / TRAINING_STATE).write_bytes(state)
    ran = train_until(job)
    assert len(ran.said) == 1
    assert "training_state.json is damaged or of another version" in ran.said[0]
    assert ran.said[0].endswith("training starts over")
    assert result_bytes(job.folder, FOLD) == result_bytes(finished.folder, FOLD)


def test_a_damaged_best_model_is_taken_from_its_epoch_and_the_other_way_round(
    job: FoldJob, finished: FoldJob, tmp_path: Path
) -> None:
    damage(job, BEST_MODEL)
    ran = train_until(job)
    assert ran.said == ["resuming after epoch 6"]
    assert result_bytes(job.folder, FOLD) == result_bytes(finished.folder, FOLD)
    early = make_job(finished.prepared, tmp_path / "early", SEVEN, FOLD)
    train_until(early, 3)
    damage(early, "epoch_0.pt")
    assert train_until(early).said == ["resuming after epoch 3"]
    assert result_bytes(early.folder, FOLD) == result_bytes(finished.folder, FOLD)


def test_a_damaged_result_is_made_again_from_the_checkpoint(finished: FoldJob, tmp_path: Path) -> None:
    job = make_job(finished.prepared, tmp_path, SEVEN, FOLD)
    shutil.copytree(finished.folder, job.folder)
    damage(job, RESULTS[0])
    assert read_finished(job.folder, FOLD, job.key) is None
    assert train_until(job).trained == []
    assert read_finished(job.folder, FOLD, job.key) == result_bytes(finished.folder, FOLD)


def test_a_checkpoint_from_another_version_is_not_used(job: FoldJob, finished: FoldJob) -> None:
    path = job.folder / "epoch_6.pt"
    state = load_training_state_json(job.folder, FOLD)
    value = torch.load(path, weights_only=True)
    state["files"][path.name] = save_pytorch(path, {**value, "format": FORMAT + 1})
    save_training_state_json(job.folder, state)
    ran = train_until(job)
    assert ran.said[0].endswith("epoch_6.pt is from another version; trying the checkpoint before it")
    assert result_bytes(job.folder, FOLD) == result_bytes(finished.folder, FOLD)


def test_a_checkpoint_filed_under_another_key_is_not_used(job: FoldJob, finished: FoldJob) -> None:
    """As after a folder was renamed by hand: its name holds 16 digits of the KEY, the state file all of it."""
    state = load_training_state_json(job.folder, FOLD)
    save_training_state_json(job.folder, {**state, "key": job.key[:16] + "0" * 48})
    assert train_until(job).trained == list(range(7))
    assert result_bytes(job.folder, FOLD) == result_bytes(finished.folder, FOLD)


def test_a_checkpoint_runs_no_code_even_with_the_right_digest(job: FoldJob, tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    path = job.folder / "epoch_6.pt"
    sha256 = save_pytorch(path, {"format": 1, "epoch": 6, "bomb": _Bomb(mark)})
    with pytest.raises(DamagedCheckpointError, match="cannot be read"):
        load_pytorch(path, sha256)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()  # it would have


class _Bomb:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self._mark,)


def test_what_a_kill_left_half_written_is_not_left_at_the_end(job: FoldJob) -> None:
    (job.folder / ".epoch_6.pt.tmp").write_bytes(b"half")
    damage(job, "epoch_6.pt")
    train_until(job)
    assert not list(job.folder.glob(".*"))
