"""Divisions of a tensor into parts, for hypothesis."""

from itertools import pairwise, product

from hypothesis import strategies as st

Box = tuple[list[int], list[int]]
"""Offsets and sizes of a part."""


@st.composite
def tilings(draw: st.DrawFn, shape: list[int] | None = None) -> tuple[list[int], list[Box]]:
    """A shape, and boxes that cut it at some places of each side."""
    shape = draw(st.lists(st.integers(1, 6), max_size=3)) if shape is None else shape
    cuts = [sorted({0, side, *draw(st.lists(st.integers(0, side), max_size=3))}) for side in shape]
    spans = [list(pairwise(edges)) for edges in cuts]
    return shape, [([first for first, _ in box], [last - first for first, last in box]) for box in product(*spans)]
