"""Power of the paired t test: against simulations, and its inverse functions."""

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp

from tagmill.studies.verdict.seeds import MOST_SEEDS, SeedsNeeded, power_of, seeds_needed, smallest_visible


@pytest.mark.parametrize(
    ("effect", "seeds", "rate"), [(0.0, 5, 0.05), (1.0, 5, 0.05), (2.0, 5, 0.05 / 6), (1.2, 8, 0.01)]
)
def test_power_is_that_of_simulated_tests(effect: float, seeds: int, rate: float) -> None:
    draws = np.random.default_rng(3).normal(effect, 1, (20_000, seeds))
    found = ttest_1samp(draws, 0, axis=1)
    right = int(((found.pvalue <= rate) & (found.statistic > 0)).sum())
    interval = binomtest(right, len(draws)).proportion_ci(0.999)
    assert interval.low <= float(power_of(effect, seeds, rate)) <= interval.high


def test_known_effect_sizes() -> None:
    """Two-sided, 0.05, power 0.8: published tables of the one-sample t test give 1.682 for 5 and 0.996 for 10."""
    assert smallest_visible(1.0, 5, 0.05) == pytest.approx(1.682, abs=1e-3)
    assert smallest_visible(2.0, 10, 0.05) == pytest.approx(2 * 0.996, abs=1e-3)
    assert smallest_visible(1.0, 1, 0.05) is None and smallest_visible(0.0, 5, 0.05) == 0


@pytest.mark.parametrize("seeds", [2, 3, 5, 12, 60])
@pytest.mark.parametrize("comparisons", [1, 7])
def test_the_smallest_visible_difference_needs_as_many_seeds(seeds: int, comparisons: int) -> None:
    rate = 0.05 / comparisons
    visible = smallest_visible(0.03, seeds, rate)
    assert visible is not None and float(power_of(visible / 0.03, seeds, rate)) == pytest.approx(0.8, abs=1e-6)
    assert seeds_needed(visible * 1.001, 0.03, rate) == seeds_needed(-visible * 1.001, 0.03, rate) == SeedsNeeded(seeds)
    assert seeds_needed(visible * 0.999, 0.03, rate) == SeedsNeeded(seeds + 1)


def test_the_number_of_seeds_is_capped() -> None:
    assert seeds_needed(0.0, 0.03, 0.05) == seeds_needed(1e-6, 0.03, 0.05) == SeedsNeeded(MOST_SEEDS, capped=True)
    assert seeds_needed(1e6, 1e-6, 0.05) == SeedsNeeded(2)
