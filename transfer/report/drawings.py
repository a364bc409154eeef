"""Drawings of the report as inline SVG: the only door of matplotlib. Text is drawn as outlines, so that no name of a class is
text of the drawing; colours are classes of the page's style, which has a dark scheme."""

import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tagmill.transfer.outcome.intervals import Estimate

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"
# Colours that are drawn and then replaced by classes of the style sheet.
_FIRST, _SECOND, _INK, _LINE = "#010203", "#010204", "#010205", "#010206"
_CLASSES = {_FIRST: "first", _SECOND: "second", _INK: "ink", _LINE: "line"}
_RC: dict[Any, Any] = {
    "svg.hashsalt": "tagmill",
    "svg.fonttype": "path",
    "font.size": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.parse_math": False,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _LINE,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_KEPT = {"d", "x", "y", "width", "height", "viewBox", "transform", "id", "clip-path", "points", "cx", "cy", "r", _XLINK}
_STYLED = {"fill", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-dasharray", "opacity"}
_ELEMENTS = {"svg", "g", "path", "defs", "use", "clipPath", "rect"}


class Bar(NamedTuple):
    """A share with its interval; `second` in the other colour."""

    name: str
    share: Estimate
    second: bool = False


def interval_drawing(title: str, bars: Sequence[Bar]) -> str:
    """Returns a chart with one line for each share: a point, and its interval."""
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(7, 0.6 + 0.28 * len(bars)))
        axes = figure.add_axes((0.36, 0.5 / (0.6 + 0.28 * len(bars)), 0.6, 1 - 0.6 / (0.6 + 0.28 * len(bars))))
        for row, bar in enumerate(bars):
            colour = _SECOND if bar.second else _FIRST
            axes.plot([100 * bar.share.low, 100 * bar.share.high], [row, row], color=colour, linewidth=2)
            axes.plot([100 * bar.share.value], [row], marker="s" if bar.second else "o", color=colour, markersize=6)
        axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlabel("top-1 accuracy, %")
        axes.grid(axis="x", color=_LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        return _inline(figure, title)


def sorted_drawing(title: str, shares: Sequence[float]) -> str:
    """Returns a chart of the accuracies of classes, best first, as one falling line."""
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(7, 2.6))
        axes = figure.add_axes((0.09, 0.2, 0.88, 0.75))
        values = np.sort(np.asarray(shares, np.float64))[::-1] * 100
        if len(values) > 400:
            values = values[np.linspace(0, len(values) - 1, 400).round().astype(int)]
        axes.step(np.linspace(1, len(shares), len(values)), values, where="mid", color=_FIRST, linewidth=2)
        axes.set_ylim(-2, 102)
        axes.set_xlabel("classes, best first")
        axes.set_ylabel("top-1 accuracy, %")
        axes.grid(axis="y", color=_LINE, linewidth=0.6)
        return _inline(figure, title)


def matrix_drawing(title: str, shares: npt.NDArray[np.float64]) -> str:
    """Returns a matrix of shares, rows true and columns predicted classes, as squares whose area is the share."""
    with mpl.rc_context(_RC):
        size = 2.2 + 0.11 * len(shares)
        figure = Figure(figsize=(size, size))
        axes = figure.add_axes((0.12, 0.12, 0.86, 0.86))
        rows, columns = np.nonzero(shares > 0.005)
        right = rows == columns
        for some, colour in ((right, _FIRST), (~right, _SECOND)):
            for row, column in zip(rows[some].tolist(), columns[some].tolist(), strict=True):
                half = 0.48 * float(shares[row, column]) ** 0.5
                square = Rectangle((column - half, row - half), 2 * half, 2 * half, color=colour, lw=0)
                axes.add_patch(square)
        axes.set_xlim(-0.5, len(shares) - 0.5)
        axes.set_ylim(len(shares) - 0.5, -0.5)
        axes.set_xlabel("predicted class, by number")
        axes.set_ylabel("true class, by number")
        return _inline(figure, title)


def _inline(figure: Figure, title: str) -> str:
    """SVG without a style attribute (the page's policy forbids it), without metadata, with identifiers of its own."""
    sink = io.BytesIO()
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(sink, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    ElementTree.register_namespace("", _SVG)
    tree = ElementTree.fromstring(sink.getvalue())  # noqa: S314: what matplotlib wrote a line above
    _clean(tree, re.sub(r"[^a-z0-9]+", "-", title.lower()))
    view = tree.attrib["viewBox"]
    tree.attrib.clear()
    tree.attrib.update({"viewBox": view, "class": "drawing", "role": "img", "aria-label": title})
    return ElementTree.tostring(tree, encoding="unicode")


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
