"""The fenced blocks of a document: commands with the output that stands below them, and scripts."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A line that a reader types, the lines that the document shows below it, and where it stands."""

    text: str
    shown: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the number of its first line."""

    document: Path
    language: str
    text: str
    line: int

    @property
    def commands(self) -> list[Command]:
        """The lines that start with $, each with the output up to the next one; none in another language."""
        found: list[Command] = []
        for number, line in enumerate(self.text.splitlines(), self.line):
            if line.startswith("$ "):
                found.append(Command(line[2:], (), f"{self.document.name}:{number}"))
            elif found:
                last = found.pop()
                found.append(Command(last.text, (*last.shown, line), last.place))
        return found if self.language == "console" else []


def blocks(document: Path) -> list[Block]:
    """All fenced blocks of a document, in order."""
    text = document.read_text()
    return [
        Block(document, match[1], match[2], text.count("\n", 0, match.start()) + 2) for match in _FENCED.finditer(text)
    ]
