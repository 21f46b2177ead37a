"""The report in a real browser: it asks for nothing, complains of nothing, fits a phone and a desktop, and prints."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from audiocnn.report.page import MISTAKES, write_report
from tests.support.browser import NAMES, find_browser, look, print_pages
from tests.support.results import make_project_with_results

BROWSER = find_browser()
TITLES = ["Learning curves", "Folds", "Confusion matrix", "Recall by class", "Most confident mistakes"]
LONG = "a class name that goes on and on, " * 6
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=f"no browser is installed: {', '.join(NAMES)}"),
]


@pytest.mark.parametrize("classes", [3, 50])
def test_it_fits_phone_and_desktop_and_prints_and_asks_for_nothing(tmp_path: Path, classes: int) -> None:
    assert BROWSER
    names = ["<script>console.error(1)</script>", LONG, "鳥の声", *(f"class_{label}" for label in range(3, classes))]
    page = write_report(make_project_with_results(tmp_path / "project", folds=10, classes=names, clips=4 * classes))
    accuracy = json.loads((tmp_path / "project/metrics/summary.json").read_text())["val_acc"]["mean"]
    sizes, log, asked = look(BROWSER, page, tmp_path)
    assert asked == ["/", "/page", "/page"]
    assert "CONSOLE" not in log
    for found in sizes:
        assert found["overflow"] == 0
        assert found["captions"] == 0
        assert found["wide"] == found["flat"] == 0
        assert len(found["images"]) == 2 + MISTAKES
        assert min(found["images"]) > 0
        assert found["headings"][1:-1] == TITLES
        assert found["accuracy"] == f"{accuracy:.4f}"
        assert found["mean"] == f"{accuracy:.4f}"
        assert found["font"] >= 16
        assert found["sorted"] == sorted(found["sorted"], key=as_people_sort)  # the first column's button was pressed
        assert len(set(found["sorted"])) > 2
        assert [name for name in found["asked"] if not name.startswith("data:")] == []
    assert 4 <= print_pages(BROWSER, page, tmp_path) <= 14


def as_people_sort(name: str) -> str:
    """class_3 before class_10."""
    return re.sub(r"\d+", lambda number: number[0].zfill(9), name.lower())


def test_what_a_page_asks_for_and_complains_of_is_noticed(tmp_path: Path) -> None:
    assert BROWSER
    page = tmp_path / "page.html"
    page.write_text(
        '<p class="meaning">a</p><i id="accuracy"></i><i id="mean-accuracy"></i><img src="/other.png">'
        '<div style="width: 2000px">wide</div><script>console.error("trouble")</script>'
    )
    sizes, log, asked = look(BROWSER, page, tmp_path)
    assert "/other.png" in asked
    assert "CONSOLE" in log
    assert "trouble" in log
    assert [found["overflow"] > 0 for found in sizes] == [True, True]
