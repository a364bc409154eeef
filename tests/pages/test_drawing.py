"""Drawings: SVG of shapes only, in colours of the style; PNG with the same bytes each time."""

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from tagmill.pages.drawing import Palette, png_drawing, rectangle, svg_drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(figure: "Figure", colours: Palette) -> None:
    axes = figure.add_axes((0.3, 0.2, 0.6, 0.7))
    axes.plot([1, 2], [0, 1], color=colours.first, marker="o")
    axes.add_patch(rectangle((1, 0), 1, 1, colours.second))
    axes.set_yticks([0, 1], ["</svg><script>", "$x$ \u5199\u771f"])


def test_svg_has_shapes_only_and_an_accessible_name() -> None:
    drawn = svg_drawing('A "title" <b>', (3, 2), draw)
    assert drawn == svg_drawing('A "title" <b>', (3, 2), draw) and "#0102" not in drawn and "script" not in drawn
    tree = ElementTree.fromstring(drawn)
    assert tree.attrib["role"] == "img" and tree.attrib["aria-label"] == 'A "title" <b>'
    assert {each.tag.rpartition("}")[2] for each in tree.iter()} <= {
        "svg",
        "g",
        "path",
        "defs",
        "use",
        "clipPath",
        "rect",
    }
    classes = " ".join(each.attrib.get("class", "") for each in tree.iter())
    assert "stroke-first" in classes and "fill-second" in classes and "fill-ink" in classes


@pytest.mark.filterwarnings("error")
def test_png_has_the_same_bytes_and_no_version() -> None:
    drawn = png_drawing((3, 2), draw)
    assert drawn.startswith(b"\x89PNG\r\n") and drawn == png_drawing((3, 2), draw) and b"Matplotlib" not in drawn
