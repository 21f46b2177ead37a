"""DVC runs the stages however it is started: as a command, a module, a program's own call, or the first process."""

import subprocess

import pytest

from tests.support.clones import Project, make_clone, stages_run

pytestmark = pytest.mark.slow

CALL = "from dvc.repo import Repo; Repo().reproduce(['fetch'], force=True)"
MODULE = ("-m", "dvc", "repro", "-f", "fetch")
FIRST_PROCESS = ("unshare", "--map-root-user", "--pid", "--fork", "--mount-proc")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which dvc's own list of running commands is still empty."""
    return make_clone(tmp_path_factory.mktemp("start") / "clone")


@pytest.mark.parametrize(
    "command",
    [
        ("dvc", "repro", "-f", "fetch"),
        ("python", *MODULE),
        ("python", "-u", *MODULE),
        ("python", "-X", "utf8", "-W", "ignore", *MODULE),
        ("python", "-c", CALL),
        ("sh", "-c", "cd data; dvc repro -f ../dvc.yaml:fetch; exit $?"),
    ],
    ids=" ".join,
)
def test_a_stage_runs_however_dvc_is_started(project: Project, command: tuple[str, ...]) -> None:
    (project.path / "data").mkdir(exist_ok=True)
    assert "fetched from folder" in project.run(*command)


def test_a_stage_runs_where_dvc_is_the_first_process_of_a_container(project: Project) -> None:
    if subprocess.run([*FIRST_PROCESS, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a namespace of processes")
    output = project.run(*FIRST_PROCESS, "dvc", "repro", "-f", "fetch")
    assert stages_run(output) == ["fetch"]
    assert "fetched from folder" in output


def test_a_folder_of_ones_own_in_data_may_be_added_to_dvc(project: Project) -> None:
    (project.path / "data/my_sounds").mkdir(parents=True)
    (project.path / "data/my_sounds/one.wav").write_bytes(b"sound")
    project.dvc("add", "data/my_sounds")
    assert (project.path / "data/my_sounds.dvc").exists()
    assert "data/raw" not in project.run("git", "status", "--porcelain", "-uall")
