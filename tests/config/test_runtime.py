"""Where checkpoints go, and how many folds train side by side."""

from pathlib import Path

import pytest

from audiocnn.config.runtime import Runtime, checkpoint_root, job_count
from audiocnn.errors import UserError
from audiocnn.processes import usable_cores, usable_memory


def test_a_tilde_is_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AUDIOCNN_CHECKPOINTS", "~/kept")
    assert checkpoint_root() == tmp_path / "kept"


@pytest.mark.parametrize("place", ["/proc", "/proc/self/kept", "/sys/kept", "a file"])
def test_a_place_that_is_no_folder_for_files_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a file").touch()
    monkeypatch.setenv("AUDIOCNN_CHECKPOINTS", place)
    with pytest.raises(UserError, match="no folder for files"):
        checkpoint_root()


def test_no_more_folds_train_side_by_side_than_memory_holds() -> None:
    assert job_count(Runtime(), "cpu", 1, 2 * usable_memory()) == 1
    assert job_count(Runtime(), "cpu", 1, 1) == usable_cores()
    assert job_count(Runtime(jobs=7), "cpu", 1, 2 * usable_memory()) == 7
