"""What tests of several folders share: a fixture, and the arithmetic of the folds that they train in this process."""

import os
from collections.abc import Iterator

import pytest

from audiocnn.config.arithmetic import with_arithmetic
from tests.support.hub_server import FakeHub


@pytest.fixture(scope="module")
def hub_server() -> Iterator[FakeHub]:
    """A Hub on loopback; whoever uses it calls reset() first."""
    with FakeHub() as hub:
        yield hub


# Before a test module loads torch. Commands that tests start see none of it, as tests.support.processes says.
os.environ.update(with_arithmetic(os.environ, "portable"))
