"""Which images the page shows: best, median and last of a class, each once, of the most doubtful classes first."""

from hypothesis import given
from hypothesis import strategies as st

from tagmill.studies.selection.chosen_rows import Chosen, ClassCount
from tagmill.studies.selection.places import PARTS, places_of, shown_order


@given(st.integers(0, 30), st.integers(0, 5))
def test_places_are_distinct_and_in_the_class(images: int, each: int) -> None:
    found = places_of(images, each)
    assert (all(1 <= place <= images for place in found) and len(found) == min(images, 3 * each)) or each > images / 3
    for part in PARTS:
        assert sum(own == part for own in found.values()) <= each
    if images and each:
        assert found[1] == "best" and (images <= each or found[images] == "last")


def test_the_median_is_in_the_middle() -> None:
    assert places_of(9, 1) == {1: "best", 5: "median", 9: "last"} and places_of(0, 1) == {}
    assert places_of(100, 2) == {1: "best", 2: "best", 50: "median", 51: "median", 99: "last", 100: "last"}
    assert places_of(2, 1) == {1: "best", 2: "last"} and places_of(1, 3) == {1: "best"}


def test_doubtful_classes_come_first() -> None:
    chosen = Chosen((ClassCount(9, 3, 90, 50), ClassCount(9, 2, 80, 20), ClassCount(0)), 5, 5)
    assert shown_order(chosen, scored=True) == [2, 1, 0] and shown_order(chosen, scored=False) == [2, 1, 0]
