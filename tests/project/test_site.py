"""`make docs`: the site builds without a warning, has every page, its links lead somewhere, it asks no other host."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")

from tests.support.paths import ROOT
from tests.support.processes import environment


class Links(HTMLParser):
    """A page's links, what it loads by itself, and its ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids |= {found.get("id") or "", found.get("name") or ""}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")
        elif place := found.get("src") or (found.get("href") if tag == "link" else None):
            self.loads.append(place)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_document_is_a_page_of_the_menu(site: Path) -> None:
    menu = Links((site / "index.html").read_text()).links
    for document in (ROOT / "docs").glob("*.md"):
        assert f"{document.stem}.html" in menu


def test_its_links_lead_to_pages_and_headings_that_are_there(site: Path) -> None:
    pages = {path: Links(path.read_text()) for path in site.glob("*.html") if path.name != "404.html"}
    lost = []
    for path, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link in ("", "#"):
                continue
            target = path.parent / unquote(parts.path) if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (target in pages and unquote(parts.fragment) not in {"", *pages[target].ids}):
                lost.append(f"{path.name}: {link}")
    assert not lost


def test_it_asks_no_other_host_for_anything(site: Path) -> None:
    for path in site.glob("*.html"):
        loads = Links(path.read_text()).loads
        assert not [place for place in loads if urlsplit(place).netloc and "canonical" not in place], path.name
    assert not re.findall(r"url\(\s*['\"]?(?:https?:)?//", (site / "css/theme.css").read_text())


def test_the_api_is_shown_with_its_docstrings(site: Path) -> None:
    text = (site / "api.html").read_text()
    for words in ("The networks of a finished cross-validation, ready for sounds.", "over_windows", "stream"):
        assert words in text
    assert "{{" not in text
    assert ":::" not in text
