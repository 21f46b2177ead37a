"""A file that belongs to no package, as a module."""

import importlib.util
from pathlib import Path
from typing import Any


def load_module(file: Path) -> Any:
    """The module that `file` is, run anew at each call."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
