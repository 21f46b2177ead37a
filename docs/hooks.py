"""What MkDocs needs to make one site of README.md, docs/ and a few other documents of the repository.

These link to each other and to code as GitHub shows them. In the site, a link to a page leads to that page, and what is
no page is named without a link.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
    "benchmarks/RESULTS.md": "measurements.md",
}
_LINK = re.compile(r"(!?)\[([^\]\n]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the documents that are not in docs/."""
    for path, page in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links between files of the repository into links between pages."""
    here = _place_of(page.file.src_uri)

    def turned(match: re.Match[str]) -> str:
        image, text, target, anchor = match.groups(default="")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        found = ELSEWHERE.get(place, place.removeprefix("docs/") if place.startswith("docs/") else "")
        return f"{image}[{text}]({found}{anchor})" if files.get_file_from_path(found) else text

    return _LINK.sub(turned, markdown).replace('src="docs/', 'src="')


def _place_of(page: str) -> str:
    """Where the document of a page is in the repository."""
    return next((path for path, name in ELSEWHERE.items() if name == page), f"docs/{page}")
