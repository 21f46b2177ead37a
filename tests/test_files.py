"""Files that are whole or not there, on file systems that offer less than others."""

import errno
import os
import stat
from pathlib import Path

import pytest

from audiocnn.files import fsync_folder, write_atomically


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_share_that_refuses_to_flush_a_folder_takes_files_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_atomically(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_disk_that_fails_is_not_silenced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        fsync_folder(tmp_path)


def test_a_link_under_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    """In a shared checkpoint folder anybody may plant one."""
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/.file.tmp").symlink_to(tmp_path / "victim")
    write_atomically(tmp_path / "shared/file", b"content")
    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert not (tmp_path / "shared/file").is_symlink()
    assert (tmp_path / "shared/file").read_bytes() == b"content"
