"""`audiocnn report --watch`: the page follows folds while they train, and is the report in the end."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from tests.support.projects import make_training_project, stage_command

PATIENCE = 240  # seconds for a process that takes ten


@pytest.mark.slow
def test_the_page_follows_the_folds_and_becomes_the_report(tmp_path: Path) -> None:
    where = make_training_project(tmp_path, epochs=3)
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params | {"folds": [0, 1]}))
    page = tmp_path / "report/index.html"
    command = [sys.executable, "-m", "audiocnn.cli", "report", "--watch"]
    with subprocess.Popen(command, **where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        try:
            wait_for(page, "0 of 2 folds have finished", watching)
            assert "<svg" not in page.read_text()
            for fold in (0, 1):
                subprocess.run(stage_command(fold), **where, check=True, capture_output=True, timeout=PATIENCE)
                wait_for(page, f"{fold + 1} of 2 folds have finished", watching)
                assert "Learning curves so far" in page.read_text()
            assert "The report takes this place once the results are aggregated." in page.read_text()
            aggregate = [sys.executable, "-m", "stages.aggregate"]
            subprocess.run(aggregate, **where, check=True, capture_output=True, timeout=PATIENCE)
            out, err = watching.communicate(timeout=PATIENCE)
        finally:
            watching.kill()
    assert (watching.returncode, "error" in err) == (0, False)
    assert out.splitlines()[-1].endswith("to be opened in a browser")
    assert "Cross-validation report" in page.read_text()
    assert "refresh" not in page.read_text()


def wait_for(page: Path, words: str, watching: "subprocess.Popen[str]") -> None:
    """Returns once the page says this; fails where it does not in time, or nobody watches any more."""
    end = time.monotonic() + PATIENCE
    while not (page.exists() and words in page.read_text()):
        assert watching.poll() is None, watching.communicate()
        assert time.monotonic() < end, page.read_text() if page.exists() else "no page"
        time.sleep(0.1)
