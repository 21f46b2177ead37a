"""Where checkpoints go, and how many folds train side by side."""

from pathlib import Path

import pytest

from audiocnn.config.runtime import EngineSettings, Runtime, checkpoint_root, job_count, read_runtime
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


def test_a_cluster_gets_all_folds_unless_jobs_says_how_many() -> None:
    engine = EngineSettings(kind="ray", address="127.0.0.1:6379")
    assert job_count(Runtime(engine=engine), "cpu", 1, 2 * usable_memory()) > 1000
    assert job_count(Runtime(engine=engine, jobs=3), "cpu", 1, 1) == 3


@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.0.1:", ":6379", "ray://10.0.0.1:10001", "host:70000", "auto"])
def test_an_address_that_is_not_host_and_port_is_a_sentence(tmp_path: Path, address: str) -> None:
    (tmp_path / "runtime.yaml").write_text(f"engine: {{kind: ray, address: '{address}'}}")
    with pytest.raises(UserError, match=r"engine\.address is '.*', expected HOST:PORT of the cluster's head"):
        read_runtime(tmp_path / "runtime.yaml")


def test_a_runtime_yaml_from_before_engines_trains_here(tmp_path: Path) -> None:
    (tmp_path / "runtime.yaml").write_text("jobs: 2\n")
    assert read_runtime(tmp_path / "runtime.yaml").engine.kind == "local"
