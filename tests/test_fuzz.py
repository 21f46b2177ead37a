"""Mutated files of each kind end in an answer, in bounded time and memory; `python -m tests.fuzz` searches longer."""

import pytest

from tests.fuzz.engine import fuzz
from tests.fuzz.targets import TARGETS

INPUTS = 300  # of each kind; some seconds


@pytest.mark.parametrize("name", TARGETS)
def test_no_mutated_file_crashes_its_reader_or_takes_hours_or_gigabytes(name: str) -> None:
    assert fuzz(name, seed=7, seconds=0, inputs=INPUTS) == []
