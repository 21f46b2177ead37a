"""Training killed at any instant, and started again, ends as if nothing had happened."""

import re
import subprocess
import sys

import pytest

from tests.support.paths import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("levers", [[], ["--levers"]], ids=["published", "levers"])
def test_folds_killed_at_random_and_inside_writes_end_in_the_bytes_of_an_undisturbed_run(levers: list[str]) -> None:
    """A short one; `python -m tests.kill --rounds N` runs for as long as you like."""
    # In a process of its own, because it forks: pytest has threads, and torch's would be lost.
    test = subprocess.run(
        [sys.executable, "-m", "tests.kill", "--rounds", "3", *levers],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert test.returncode == 0, test.stdout + test.stderr
    done = re.search(r"3 rounds, (\d+) kills \((\d+) of them inside a write\), 0 failures", test.stdout)
    assert done is not None, test.stdout
    assert int(done[1]) > int(done[2]) > 0
