"""A figure as SVG that stands in HTML: text stays text, ids do not clash, the same bytes for the same run.

Needs the extra `audiocnn[report]`.
"""

import html
import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.figure import Figure

GREY = "#666666"
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a dollar sign in a class name is a dollar sign
    "svg.fonttype": "none",
    "font.size": 10,
    "font.sans-serif": ["DejaVu Sans"],  # what comes with matplotlib; the page's style sheet names what is shown
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "#222222",
    "ytick.labelcolor": "#222222",
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def svg(name: str, words: str, size: tuple[float, float], draw: Callable[[Figure], object]) -> str:
    """A figure as an <svg> element. name: told apart from the page's other figures by it. words: for those who do not
    see it. size: width and height in inches at 96 pixels each.
    """
    text = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # characters that the measuring font lacks: the browser has its own fonts
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE | {"svg.hashsalt": name})
        figure = Figure(figsize=size)
        draw(figure)
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return _for_html(text.getvalue(), words)


def _for_html(document: str, words: str) -> str:
    """Matplotlib's SVG document as an element: no prologue, no metadata, only the ids that something refers to."""
    element = re.sub(r"<metadata>.*?</metadata>", "", document[document.index("<svg ") :], flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', element))
    element = re.sub(r'(<\w[^<>]*?) id="([^"]*)"', lambda match: match[0] if match[2] in used else match[1], element)
    label = html.escape(words, quote=True)
    return element.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
