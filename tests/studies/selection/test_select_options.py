"""Flags of a selection: K after a share is exact and at least 1, and what cannot be is refused by its flag."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import ConfigError
from tagmill.studies.selection.select_options import SelectOptions


def options(**more: Any) -> SelectOptions:
    return SelectOptions(**{"scores": "s", "corpus": "c", "view": "v", **more})


@given(k=st.integers(1, 10**9), hundredths=st.integers(1, 100))
def test_a_share_of_k_is_that_of_exact_numbers(k: int, hundredths: int) -> None:
    scaled = options(k=k, k_share=hundredths / 100).k_scaled
    assert scaled >= 1 and (scaled == 1 or abs(scaled - Fraction(k * hundredths, 100)) <= Fraction(1, 2))


def test_k_is_that_of_the_paper_and_whole_by_default() -> None:
    assert options().k_scaled == 16_000 and options().top_labels is None


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"k": 0}, "--k"),
        ({"k_share": 0.0}, "--k-share"),
        ({"k_share": 1.5}, "--k-share"),
        ({"top_labels": 0}, "--top-labels"),
        ({"images": -1}, "--images"),
        ({"view": "a/b"}, "a/b"),
    ],
)
def test_what_cannot_be_is_refused_by_its_flag(given: dict[str, Any], flag: str) -> None:
    with pytest.raises(ConfigError, match=flag):
        options(**given)
