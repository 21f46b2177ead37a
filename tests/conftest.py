"""The fixture that tests of several folders share."""

from collections.abc import Iterator

import pytest

from tests.support.hub_server import FakeHub


@pytest.fixture(scope="module")
def hub_server() -> Iterator[FakeHub]:
    """A Hub on loopback; whoever uses it calls reset() first."""
    with FakeHub() as hub:
        yield hub
