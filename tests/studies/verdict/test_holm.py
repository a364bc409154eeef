"""Holm's procedure: a worked example, and its definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.studies.verdict.holm import holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_a_worked_example() -> None:
    """0.005 <= 0.05/4 and 0.01 <= 0.05/3 are decided; 0.03 > 0.05/2 is not, and so 0.04 is not either, although it is below
    0.05. Adjusted: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.06 again, because adjusted values do not fall."""
    found = holm([0.01, 0.04, 0.03, 0.005], 0.05)
    assert [each.p for each in found] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [each.share for each in found] == pytest.approx([1 / 3, 1 / 2, 1 / 2, 1 / 4])


def test_one_comparison_has_the_whole_error_rate() -> None:
    assert holm([0.04], 0.05) == [(0.04, 1.0)] and holm([], 0.05) == []


def by_definition(p: list[float], rate: float) -> list[bool]:
    order = sorted(range(len(p)), key=lambda place: p[place])
    decided = [False] * len(p)
    for rank, place in enumerate(order):
        if p[place] > rate / (len(p) - rank):
            break
        decided[place] = True
    return decided


@given(p_values)
def test_an_interval_excludes_0_exactly_where_its_comparison_is_decided(p: list[float]) -> None:
    found = holm(p, 0.05)
    assert [value <= 0.05 * each.share for value, each in zip(p, found, strict=True)] == by_definition(p, 0.05)
    for value, each, decided in zip(p, found, by_definition(p, 0.05), strict=True):
        assert decided == (each.p <= 0.05) or each.p == pytest.approx(0.05)
        assert value <= each.p <= 1


@given(p_values)
def test_the_order_of_comparisons_does_not_matter(p: list[float]) -> None:
    pairs = sorted(zip(p, holm(p, 0.05), strict=True))
    assert pairs == sorted(zip(p[::-1], holm(p[::-1], 0.05), strict=True)) or len(set(p)) < len(p)
    assert sorted(each.p for each in holm(p, 0.05)) == sorted(each.p for each in holm(p[::-1], 0.05))
