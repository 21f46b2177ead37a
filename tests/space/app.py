"""The page's app.py as a module: it is no part of a package."""

import importlib.util
from typing import Any

from tests.support.paths import ROOT

PAGE = ROOT / "examples/space"


def load_app() -> Any:
    """examples/space/app.py, without gradio."""
    spec = importlib.util.spec_from_file_location("space_app", PAGE / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
