"""A full disk, a read-only one, inputs edited while a fold trains: one sentence, and nothing is lost or published."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.prepared import write_prepared
from tests.support.processes import started, wait_until
from tests.support.projects import make_training_project, params_of, run_stage, stage_command
from tests.support.training import epochs_done, make_job, result_bytes, train_until

pytestmark = pytest.mark.slow
EPOCHS = 40


def sentence(output: str) -> str:
    """The one line about the error; anything like a traceback fails."""
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    return line


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "audiocnn-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def on_disk(project: Path, disk: Path, epochs: int = 6) -> dict[str, Any]:
    """A project that keeps its checkpoints on the disk, every one of them, so that they fill it."""
    setting = make_training_project(project, epochs)
    runtime = {"device": "cpu", "jobs": 1, "checkpoints": {"keep": "all"}, "wandb": {"mode": "disabled"}}
    (project / "runtime.yaml").write_text(yaml.safe_dump(runtime))
    return {**setting, "env": setting["env"] | {"AUDIOCNN_CHECKPOINTS": str(disk)}}


def test_a_disk_that_fills_up_ends_the_stage_with_a_sentence_and_the_next_run_goes_on(
    disk: Path, tmp_path: Path
) -> None:
    setting = on_disk(tmp_path / "project", disk, epochs=30)
    output = run_stage(setting, expect=1)
    assert "the disk is full: free some space, then run the command again" in sentence(output)
    done = epochs_done(disk)
    assert 0 < done < 30
    assert not (tmp_path / "project/models").exists()
    remount(disk, "size=20m")
    output = run_stage(setting)
    assert f"resuming after epoch {done - 1}" in output
    assert not any(word in output for word in ("damaged", "missing", "starts over"))
    assert (tmp_path / "project/results/folds/fold_0.json").exists()


def fill(disk: Path) -> None:
    with (disk / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_disk_that_is_full_from_the_start_ends_the_stage_with_a_sentence(disk: Path, tmp_path: Path) -> None:
    setting = on_disk(tmp_path / "project", disk)
    fill(disk)
    assert "the disk is full: free some space" in sentence(run_stage(setting, expect=1))


def test_a_disk_that_others_fill_to_the_last_byte_ends_the_stage_with_a_sentence(disk: Path, tmp_path: Path) -> None:
    """Then there is no room for the worker's own last words either."""
    setting, log = on_disk(tmp_path / "project", disk, epochs=30), tmp_path / "log"
    with started(setting, *stage_command(), log=log) as process:
        wait_until(lambda: epochs_done(disk) > 0)
        while process.poll() is None:
            fill(disk)
        assert process.wait() == 1
    assert "the disk is full: free some space" in sentence(log.read_text())
    (disk / "filler").unlink()
    remount(disk, "size=20m")
    output = run_stage(setting)
    assert "resuming after epoch" in output
    assert not any(word in output for word in ("damaged", "missing", "starts over"))


def test_a_read_only_disk_ends_the_stage_with_a_sentence(disk: Path, tmp_path: Path) -> None:
    setting = on_disk(tmp_path / "project", disk)
    remount(disk, "size=20m,ro")
    assert "read-only: make it writable" in sentence(run_stage(setting, expect=1))
    remount(disk, "rw")
    run_stage(setting)


def edit_params(project: Path) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["train"]["lr"] = 0.02
    (project / "params.yaml").write_text(yaml.safe_dump(params))


def edit_code(project: Path) -> None:
    code = project / "audiocnn/model/network.py"
    code.write_text(code.read_text() + "# more\n")


def edit_data(project: Path) -> None:
    """As `prepare` does it: another folder takes the place of the one that was there."""
    write_prepared(project / "data/other", clips=63)
    (project / "data/prepared").rename(project / "data/before")
    (project / "data/other").rename(project / "data/prepared")


@pytest.mark.parametrize("edit", [edit_params, edit_code, edit_data])
def test_inputs_edited_while_a_fold_trains_publish_nothing_and_going_back_finds_the_work_done(
    edit: Callable[[Path], None], tmp_path: Path
) -> None:
    setting, log = make_training_project(tmp_path, EPOCHS), tmp_path / "log"
    before = {path: path.read_bytes() for path in (tmp_path / "params.yaml", tmp_path / "audiocnn/model/network.py")}
    undisturbed = train_here(tmp_path)
    with started(setting, *stage_command(), log=log) as process:
        wait_until(lambda: epochs_done(tmp_path / "checkpoints") > 0)
        edit(tmp_path)
        assert process.wait(timeout=120) == 1
    assert "changed while" in sentence(log.read_text())
    assert not list(tmp_path.glob("models/*"))
    assert not list(tmp_path.glob("results/folds/*"))
    for path, content in before.items():
        path.write_bytes(content)
    if (tmp_path / "data/before").exists():
        (tmp_path / "data/prepared").rename(tmp_path / "data/other")
        (tmp_path / "data/before").rename(tmp_path / "data/prepared")
    assert "fold 0: epoch" not in run_stage(setting)
    assert (tmp_path / "models/model_fold_0_best.safetensors").read_bytes() == undisturbed


def train_here(project: Path) -> bytes:
    """The weights of fold 0 as this process makes them, out of the project's sight."""
    train = params_of(project)
    job = make_job(project / "data/prepared", project.with_name("undisturbed"), train)
    train_until(job)
    return result_bytes(job.folder)["model_fold_0_best.safetensors"]
