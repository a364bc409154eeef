"""Intervals equal SciPy's, and the bootstrap by different rows is the bootstrap over groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tagmill.transfer.outcome.intervals import Floats, bootstrap, sums_by_group, wilson


@given(st.integers(1, 100_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_wilson_is_scipys(pair: tuple[int, int]) -> None:
    low, high = wilson(*pair)
    known = binomtest(*pair).proportion_ci(0.95, "wilson")
    assert (float(low), float(high)) == pytest.approx((known.low, known.high), abs=1e-12)


def test_without_trials_everything_is_possible() -> None:
    low, high = wilson([0, 5, 0], [0, 5, 5])
    assert low.tolist()[:1] == [0] and high.tolist()[:2] == [1, 1] and low[2] == 0


def _mean(drawn: Floats) -> Floats:
    return (drawn[:, 1:2]) / drawn[:, :1]


def test_the_bootstrap_is_that_of_drawing_groups_one_by_one() -> None:
    draws = np.random.default_rng(5)
    size = draws.integers(1, 6, 80)
    right = draws.binomial(size, draws.random(80))
    group = np.repeat(np.arange(80), size)
    hits = np.concatenate([np.arange(of) < some for of, some in zip(size, right, strict=True)])
    sums = sums_by_group(
        np.concatenate([group, group[hits]]), np.r_[np.zeros(len(group), int), np.ones(hits.sum(), int)], 80, 2
    )
    assert sums.toarray().tolist() == np.stack([size, right], axis=1).tolist()
    low, high = bootstrap(sums, _mean, replicates=20_000)
    picks = draws.integers(0, 80, (20_000, 80))
    plain = np.quantile(right[picks].sum(axis=1) / size[picks].sum(axis=1), (0.025, 0.975))
    # The standard error of a 2.5 % quantile of 20,000 replicates is about 0.02 standard deviations.
    spread = (high[0] - low[0]) / 3.92
    assert low[0] == pytest.approx(plain[0], abs=0.15 * spread) and high[0] == pytest.approx(
        plain[1], abs=0.15 * spread
    )


def test_grouped_images_that_agree_count_once() -> None:
    """50 groups of 20 equal images are as uncertain as 50 images."""
    hit = np.arange(50) < 25
    single = sums_by_group(np.r_[np.arange(50), np.flatnonzero(hit)], np.r_[np.zeros(50, int), np.ones(25, int)], 50, 2)
    low, high = bootstrap(single, _mean)
    many_low, many_high = bootstrap(single * 20, _mean)
    assert (low, high) == (many_low, many_high)
    assert high[0] - low[0] == pytest.approx(2 * 1.96 * (0.25 / 50) ** 0.5, rel=0.15)
