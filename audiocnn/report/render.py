"""A matplotlib figure as SVG for an HTML page, or as PNG. The same figure gives the same bytes.

Needs the extra `audiocnn[report]`.
"""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design", 2008: told apart by colour-blind readers
BLUE, ORANGE = "#0072B2", "#D55E00"
INK, GREY = "#222222", "#666666"
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a dollar sign in a class name is a dollar sign
    "svg.fonttype": "none",  # text stays text, in the fonts that the reader has
    "font.size": 10,
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib; in SVG the page's style sheet replaces it
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
_DPI = 120  # pixels in an inch of a PNG
_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"

_Draw = Callable[[Figure], object]
_Size = tuple[float, float]


def svg(name: str, description: str, size: _Size, draw: _Draw, grow: bool = False) -> str:
    """A figure as an <svg> element for HTML.

    name: differs from those of the page's other figures, so that ids do. description: for readers who cannot see the
    figure. size: width and height in inches, at 96 pixels each. draw: draws on the empty figure. grow: beyond `size`,
    so that what is drawn outside of it is in the picture.
    """
    options = {"format": "svg", "transparent": True, "metadata": {"Date": None}}
    return _for_html(_drawn(size, draw, {"svg.hashsalt": name}, options | _bounds(grow)), description)


def png(size: _Size, draw: _Draw, grow: bool = False) -> bytes:
    """A figure as PNG on white, with 120 pixels in an inch. size, draw, grow: as for svg."""
    options = {"format": "png", "dpi": _DPI, "metadata": {"Software": None}}
    return _drawn(size, draw, {}, options | _bounds(grow))


def _bounds(grow: bool) -> dict[str, Any]:
    return {"bbox_inches": "tight", "pad_inches": 0.05} if grow else {}


def _drawn(size: _Size, draw: _Draw, style: dict[Any, Any], options: dict[str, Any]) -> bytes:
    """The bytes of a figure in this module's style, whatever the user's own. options: savefig's."""
    content = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Matplotlib warns of characters that its font lacks. A browser has other fonts; a PNG shows them as boxes.
        warnings.simplefilter("ignore")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE | style)
        figure = Figure(figsize=size)
        draw(figure)
        figure.savefig(content, **options)
    return content.getvalue()


def _for_html(document: bytes, description: str) -> str:
    """Matplotlib's SVG document as an HTML element.

    HTML needs no prologue, no metadata, no namespaces and only the ids that something refers to.
    """
    root = ElementTree.fromstring(document)  # noqa: S314  # trusted: matplotlib wrote it, and escapes the class names
    for metadata in root.findall(f"{_SVG}metadata"):
        root.remove(metadata)
    used = {name for element in root.iter() for name in _referred(element)}
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        if element.get("id") not in used:
            element.attrib.pop("id", None)
        if href := element.attrib.pop(f"{_XLINK}href", None):
            element.set("xlink:href", href)  # the HTML parser knows this prefix
    root.set("role", "img")
    root.set("aria-label", description)
    return ElementTree.tostring(root, encoding="unicode")


def _referred(element: ElementTree.Element) -> list[str]:
    """The ids that an element's attributes refer to, by url(#ID) or as a link to #ID."""
    link = element.get(f"{_XLINK}href", "")
    urls = [name for value in element.attrib.values() for name in re.findall(r"url\(#([^)]+)\)", value)]
    return [link.removeprefix("#"), *urls] if link.startswith("#") else urls
