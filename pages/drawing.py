"""Drawings of pages as inline SVG and as PNG: the only door of matplotlib. SVG has text as outlines, so that no name is text of
the drawing; its colours are classes of the page's style, which has a dark scheme."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_PNG_DPI = 150


class Palette(NamedTuple):
    """Colours of a drawing."""

    first: str
    second: str
    ink: str  # of text
    line: str  # of axes and grids


Draw = Callable[[Figure, Palette], None]
"""Draws into an empty figure with these colours."""

_MARKS = Palette(
    "#010203", "#010204", "#010205", "#010206"
)  # are drawn and then replaced by classes of the style sheet
_CLASSES = dict(zip(_MARKS, Palette._fields, strict=True))
_LIGHT = Palette("#0969da", "#bc4c00", "#1b1f24", "#d1d9e0")  # as page.css has them
_KEPT = {"d", "x", "y", "width", "height", "viewBox", "transform", "id", "clip-path", "points", "cx", "cy", "r", _XLINK}
_STYLED = {"fill", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-dasharray", "opacity"}
_ELEMENTS = {"svg", "g", "path", "defs", "use", "clipPath", "rect"}


def svg_drawing(title: str, size: tuple[float, float], draw: Draw) -> str:
    """Returns a drawing of width and height `size`, in inches, as SVG for a page. `title` is its accessible name.

    It has no style attribute (the page's policy forbids it), no metadata, and identifiers of its own.
    """
    sink = io.BytesIO()
    with _style(_MARKS):
        figure = Figure(figsize=size)
        draw(figure, _MARKS)
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(sink, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    ElementTree.register_namespace("", _SVG)
    tree = ElementTree.fromstring(sink.getvalue())  # what matplotlib wrote
    _clean(tree, re.sub(r"[^a-z0-9]+", "-", title.lower()))
    view = tree.attrib["viewBox"]
    tree.attrib.clear()
    tree.attrib.update({"viewBox": view, "class": "drawing", "role": "img", "aria-label": title})
    return ElementTree.tostring(tree, encoding="unicode")


def png_drawing(size: tuple[float, float], draw: Draw) -> bytes:
    """Returns the same drawing as a PNG file on white, in the colours of the light scheme; without date and version."""
    sink = io.BytesIO()
    with _style(_LIGHT):
        figure = Figure(figsize=size, dpi=_PNG_DPI, facecolor="white")
        draw(figure, _LIGHT)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(sink, metadata={"Software": None})
    return sink.getvalue()


def rectangle(corner: tuple[float, float], width: float, height: float, colour: str) -> Rectangle:
    """Returns a filled rectangle for `axes.add_patch`."""
    return Rectangle(corner, width, height, color=colour, lw=0)


@contextmanager
def _style(colours: Palette) -> Iterator[None]:
    settings: dict[Any, Any] = {
        "svg.hashsalt": "tagmill",
        "svg.fonttype": "path",
        "font.size": 10,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "text.parse_math": False,
        "text.color": colours.ink,
        "axes.labelcolor": colours.ink,
        "axes.edgecolor": colours.line,
        "xtick.color": colours.ink,
        "ytick.color": colours.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # it is drawn as a box
        yield


def _clean(element: ElementTree.Element, prefix: str) -> None:
    for child in list(element):
        if child.tag.removeprefix(f"{{{_SVG}}}") in _ELEMENTS:
            _clean(child, prefix)
        else:
            element.remove(child)
    style = dict(part.split(":", 1) for part in element.attrib.pop("style", "").replace(" ", "").split(";") if part)
    given = {name: value for name, value in element.attrib.items() if name in _KEPT | _STYLED}
    element.attrib.clear()
    classes = []
    for name, value in {**given, **style}.items():
        if name in ("fill", "stroke") and value in _CLASSES:
            classes.append(f"{name}-{_CLASSES[value]}")
        elif name in ("id",):
            element.attrib["id"] = f"{prefix}-{value}"
        elif name == _XLINK:
            element.attrib["href"] = value.replace("#", f"#{prefix}-", 1)
        elif name == "clip-path":
            element.attrib[name] = value.replace("url(#", f"url(#{prefix}-")
        elif name in _KEPT | _STYLED:
            element.attrib[name] = value
    if classes:
        element.attrib["class"] = " ".join(classes)
