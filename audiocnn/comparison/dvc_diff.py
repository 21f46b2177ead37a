"""`dvc params diff --json` or `dvc metrics diff --json` on standard input, as a Markdown table that shows it as it is.

DVC's own `--md` escapes nothing: a value in a pull request's params.yaml would be markup, an image or a mention in the
comment on it.
"""

import sys
from collections.abc import Iterator
from typing import Any

from audiocnn.config.settings import parse_json
from audiocnn.text import markdown

_SHOWN = 200  # characters of a value


def main() -> None:
    """Prints the table, or that nothing changed."""
    rows = list(_rows(parse_json(sys.stdin.read())))
    print(markdown([("Path", "Name", "Old", "New"), *rows], left=2) if rows else "No change.")


def _rows(changes: dict[str, dict[str, dict[str, Any]]]) -> Iterator[tuple[str, str, str, str]]:
    """Of each changed value: its file, its dotted name, and what it was and is."""
    for path, values in sorted(changes.items()):
        for name, change in sorted(values.items()):
            yield path, name, _text(change.get("old")), _text(change.get("new"))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:_SHOWN]


if __name__ == "__main__":
    main()
