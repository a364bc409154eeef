"""The spread of seeds, and its interval."""

import numpy as np
import pytest

from tagmill.studies.verdict.seeds import smallest_visible
from tagmill.studies.verdict.spread import seed_spread

VALUES = [0.793, 0.729, 0.761, 0.748, 0.77]


def test_it_is_the_standard_deviation_with_what_it_allows_to_see() -> None:
    found = seed_spread("top1", VALUES, 6, 3)
    assert found is not None and found.runs == 5 and found.mean == pytest.approx(np.mean(VALUES))
    assert found.deviation == pytest.approx(np.std(VALUES, ddof=1)) and found.low < found.deviation < found.high
    # Factors of a 95 % interval for four degrees of freedom, of tables: 0.599 and 2.874.
    assert (found.low, found.high) == pytest.approx((0.599 * found.deviation, 2.874 * found.deviation), rel=1e-3)
    assert found.visible == smallest_visible(found.deviation * 2**0.5, 6, 0.05 / 3)


def test_the_interval_covers_the_deviation() -> None:
    draws = np.random.default_rng(0).normal(0.7, 0.03, (1000, 5)).tolist()
    found = [seed_spread("top1", each, 1, 1) for each in draws]
    covered = sum(each is not None and each.low <= 0.03 <= each.high for each in found)
    assert 0.93 <= covered / len(draws) <= 0.97


def test_one_run_has_no_spread_and_one_seed_sees_nothing() -> None:
    assert seed_spread("top1", VALUES[:1], 5, 1) is None and seed_spread("top1", [], 5, 1) is None
    found = seed_spread("top1", VALUES, 1, 1)
    assert found is not None and found.visible is None
    equal = seed_spread("top1", [0.5, 0.5], 5, 0)
    assert equal is not None and equal.deviation == 0 and equal.visible == 0
