"""Fixtures of more than one test file."""

from collections.abc import Iterator

import pytest

from tests.fake_hub import FakeHub
from tests.project import EPOCHS, FOLDS, Project, commit, epochs_trained, make_project


@pytest.fixture(scope="module")
def hub_server() -> Iterator[FakeHub]:
    """A Hub on loopback; whoever uses it calls reset() first."""
    with FakeHub() as hub:
        yield hub


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone after `dvc repro`, its dvc.lock and metrics/ committed. Tests that change it copy it."""
    project = make_project(tmp_path_factory.mktemp("trained") / "clone")
    assert epochs_trained(project.dvc("repro")) == dict.fromkeys(range(FOLDS), EPOCHS)
    commit(project, "results")
    return project
