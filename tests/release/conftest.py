"""A finished run to publish, and the Hub on loopback that takes it."""

from pathlib import Path

import pytest

from tests.support.hub_server import GOOD_TOKEN, FakeHub, use_in_this_process
from tests.support.weights import write_finished_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a finished run, the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDIOCNN_DEBUG", raising=False)
    write_finished_run(tmp_path)
    return tmp_path


@pytest.fixture
def hub(hub_server: FakeHub, run: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """The Hub on loopback, empty, which this process talks to."""
    hub_server.reset()
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    use_in_this_process(hub_server, run / "cache", monkeypatch)
    return hub_server
