"""The interval over pairs of runs."""

import numpy as np
import pytest
from scipy import stats

from tagmill.bench.paired import paired_difference


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
