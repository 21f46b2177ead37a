"""What is said where git answers nothing."""

import os
from pathlib import Path

import pytest

from audiocnn.comparison.committed import comparison
from audiocnn.comparison.revisions import commit_of
from audiocnn.errors import UserError
from tests.support.revisions import git


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that belongs to another user, and a git without a user's settings."""
    if os.geteuid() != 0:
        pytest.skip("only root may give a folder to another user")
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "start")
    for path in (tmp_path, tmp_path / ".git"):
        os.chown(path, 12345, 12345)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    return tmp_path


def test_a_clone_of_another_owner_is_a_repository_and_the_cure_is_named(foreign: Path) -> None:
    with pytest.raises(UserError, match=f"belongs to another user: .*safe.directory {foreign}"):
        commit_of(foreign, "HEAD")
    assert "safe.directory" in comparison(foreign)


def test_a_folder_without_a_repository_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a git repository"):
        commit_of(tmp_path, "HEAD")
