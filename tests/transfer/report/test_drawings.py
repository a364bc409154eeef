"""Drawings have no text, no style of their own and the same bytes each time."""

from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest

from tagmill.transfer.outcome.intervals import Estimate
from tagmill.transfer.report.drawings import Bar, interval_drawing, matrix_drawing, sorted_drawing

BARS = [Bar("</svg><script>$x$ %s", Estimate(0.5, 0.4, 0.6)), Bar("random \\frac", Estimate(0.3, 0.2, 0.4), True)]
DRAWINGS: list[Callable[[], str]] = [
    lambda: interval_drawing("A <title> & more", BARS),
    lambda: sorted_drawing("Sorted", [0.5, 1.0, 0.0]),
    lambda: sorted_drawing("Sorted", np.linspace(0, 1, 5000).tolist()),
    lambda: sorted_drawing("Sorted", [1.0]),
    lambda: matrix_drawing("Matrix", np.array([[0.5, 0.5, 0], [0, 1, 0], [0.2, 0, 0.8]])),
]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_they_hold_shapes_only(draw: Callable[[], str]) -> None:
    drawn = draw()
    assert drawn == draw() and len(drawn) < 100_000
    tree = ElementTree.fromstring(drawn)
    names = {each.tag.rpartition("}")[2] for each in tree.iter()}
    assert names <= {"svg", "g", "path", "defs", "use", "clipPath", "rect"} and "path" in names
    assert not any("style" in each.attrib or any(name.startswith("on") for name in each.attrib) for each in tree.iter())
    identifiers = [each.attrib["id"] for each in tree.iter() if "id" in each.attrib]
    assert len(identifiers) == len(set(identifiers))
    used = [each.attrib["href"][1:] for each in tree.iter() if "href" in each.attrib]
    assert used and set(used) <= set(identifiers)
    assert "#0102" not in drawn, "every colour is a class of the style"


def test_a_point_is_where_its_share_is() -> None:
    def places(value: float) -> list[float]:
        tree = ElementTree.fromstring(interval_drawing("A", [Bar("a", Estimate(value, 0.0, 1.0))]))
        return [
            float(each.attrib["x"]) for each in tree.iter() if each.attrib.get("class") == "fill-first stroke-first"
        ]

    (low,), (middle,), (high,) = places(0.1), places(0.5), places(0.9)
    assert middle - low == pytest.approx(high - middle, rel=1e-4) and middle > low
