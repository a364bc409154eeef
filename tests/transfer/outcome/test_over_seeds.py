"""Intervals over runs: of a mean, and over pairs."""

import numpy as np
import pytest
from scipy import stats

from tagmill.transfer.outcome.over_seeds import paired_difference, t_interval


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    trained, random = rng.normal(0.3, 0.1, 5), rng.normal(0.2, 0.1, 5)
    found = paired_difference(trained.tolist(), random.tolist())
    wanted = stats.ttest_rel(trained, random).confidence_interval(0.95)
    assert found.mean == pytest.approx((trained - random).mean())
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_one_pair_has_no_interval() -> None:
    found = paired_difference([0.5], [0.25])
    assert (found.mean, found.low, found.high) == (0.25, None, None)


def test_the_interval_over_seeds_is_students() -> None:
    values = [0.31, 0.36, 0.34, 0.39, 0.3]
    for level in (0.95, 0.99):
        known = stats.ttest_1samp(values, 0).confidence_interval(level)
        found = t_interval(values, level)
        assert found is not None and found[1:] == pytest.approx((known.low, known.high))
    assert t_interval(values[:1]) is None
