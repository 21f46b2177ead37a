"""Systems that offer less, imitated for a whole stage: by a shim before the C library, by limits, by another user."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import environment
from tests.support.projects import make_training_project, stage_command

# What CIFS and VirtualBox's shares refuse (a folder that is flushed), and an NFS without locks.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
static int refused(const char *call) { const char *named = getenv("SHIM"); return named && strcmp(named, call) == 0; }
int fsync(int fd) {
  struct stat status;
  if (refused("fsync") && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) { errno = EINVAL; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
int flock(int fd, int operation) {
  if (refused("flock")) { errno = ENOLCK; return -1; }
  return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(fd, operation);
}
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library to be loaded before all others."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler, or no Linux")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    command = [compiler, "-shared", "-fPIC", "-o", str(folder / "shim.so"), str(folder / "shim.c"), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return str(folder / "shim.so")


def ended(setting: dict[str, Any], **more: Any) -> tuple[int, str]:
    """A fold's stage: its exit code, and what it printed."""
    done = subprocess.run(stage_command(), **{**setting, **more}, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_share_that_flushes_no_folder_trains_and_one_without_locks_says_so_at_once(shim: str, tmp_path: Path) -> None:
    setting = make_training_project(tmp_path, epochs=2)
    preloaded = {**setting["env"], "LD_PRELOAD": shim}
    assert ended(setting, env={**preloaded, "SHIM": "fsync"}) == (0, "")
    assert (tmp_path / "results/folds/fold_0.json").exists()
    shutil.rmtree(tmp_path / "checkpoints")
    code, error = ended(setting, env={**preloaded, "SHIM": "flock"})
    assert code == 1
    assert error.startswith("error: ")
    assert "is on a file system without locks (No locks available)" in error


@pytest.mark.slow
def test_a_file_that_would_be_larger_than_ulimit_allows_is_a_sentence(tmp_path: Path) -> None:
    setting = make_training_project(tmp_path, epochs=2)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    code, error = ended(setting, preexec_fn=limit)
    assert code == 1
    assert "it would be larger than this process may write: raise 'ulimit -f'" in error


def test_another_users_checkpoint_folder_is_a_sentence_for_a_user_who_may_not_write_there(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    (tmp_path / "fold_0").mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path; from audiocnn.errors import run_command\n"
        "from audiocnn.checkpoints.lock import fold_lock\n"
        "os.setuid(65534)\n"
        "sys.exit(run_command(lambda: fold_lock(Path('fold_0'), timeout=0).__enter__()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "error: fold_0 belongs to user root, and you may not write there: name a folder of your own in "
        "AUDIOCNN_CHECKPOINTS.\n"
    )
