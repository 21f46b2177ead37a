"""What a class may be called: one rule, because names out of a stranger's dataset reach tables, pages and terminals."""

import re
import unicodedata
from collections.abc import Sequence

from audiocnn.errors import UserError

_LONGEST = 200  # characters
_FORMULA = re.compile(r"(?:^|[,;|])\s*[=+@-]")  # where a spreadsheet begins a cell, whatever separates its cells

CLASS_NAME_RULE = (
    f"at most {_LONGEST} printable characters, without < and without =, +, - or @ at its start or after , ; |"
)


def is_class_name(name: str) -> bool:
    """Whether a name is harmless wherever it is shown.

    Control characters move a terminal's cursor. `dvc plots show` pastes metrics/*.csv into a <script> element, which a
    name with `<` could end. A spreadsheet runs a cell that begins with =, +, - or @, or with their full-width forms.
    """
    is_text = bool(name.strip()) and name.isprintable() and len(name) <= _LONGEST
    return is_text and "<" not in name and not _FORMULA.search(unicodedata.normalize("NFKC", name))


def check_class_names(names: Sequence[str], where: str) -> None:
    """Raises UserError where a class is called otherwise. where: what holds the names, for the message."""
    for name in names:
        if not is_class_name(name):
            raise UserError(f"{where} has a class called {name!a:.80}, expected {CLASS_NAME_RULE}: rename it.")
