"""The finished run that the tests of the pipeline start from."""

import pytest

from tests.support.clones import EPOCHS, FOLDS, Project, epochs_trained, make_clone


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone after `dvc repro`, its dvc.lock and metrics/ committed. Tests that change it copy it."""
    project = make_clone(tmp_path_factory.mktemp("trained") / "clone")
    assert epochs_trained(project.dvc("repro")) == dict.fromkeys(range(FOLDS), EPOCHS)
    project.commit("results")
    return project
