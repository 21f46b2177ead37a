"""Where checkpoints go: the folder that AUDIOCNN_CHECKPOINTS names, or a sentence."""

from pathlib import Path

import pytest

from audiocnn.config.runtime import checkpoint_root
from audiocnn.errors import UserError


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
