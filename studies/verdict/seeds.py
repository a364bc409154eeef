"""How many seeds a difference needs, and how small a difference some seeds can see: the power of the paired t test."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import stdtrit
from scipy.stats import nct

ERROR_RATE = 0.05  # of all comparisons of a study together, two-sided
POWER = 0.8
MOST_SEEDS = 1000  # that are counted


@dataclass(frozen=True)
class SeedsNeeded:
    """Seeds that would tell with a power of 0.8, if the difference and its spread were those that were measured."""

    count: int
    capped: bool = False  # more than `count`


def power_of(effect: float, seeds: npt.ArrayLike, error_rate: float) -> npt.NDArray[np.float64]:
    """Returns how often the two-sided paired t test finds a difference of `effect` (at least 0) standard deviations of the
    differences, with the right sign; for each number of seeds (at least 2)."""
    count = np.asarray(seeds, np.float64)
    limit = stdtrit(count - 1, 1 - error_rate / 2)
    shift = effect * np.sqrt(count)
    found = nct.sf(limit, count - 1, shift)
    return np.where(np.isnan(found), np.where(shift > limit, 1.0, 0.0), found)  # SciPy gives up far from the limit


def seeds_needed(mean: float, spread: float, error_rate: float) -> SeedsNeeded:
    """Returns the seeds that find a mean difference whose standard deviation over seeds is `spread`, above 0."""
    effect = abs(mean) / spread
    low, high = 2, MOST_SEEDS
    if power_of(effect, high, error_rate) < POWER:
        return SeedsNeeded(MOST_SEEDS, capped=True)
    while low < high:  # power grows with seeds
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(effect, middle, error_rate) >= POWER else (middle + 1, high)
    return SeedsNeeded(low)


def smallest_visible(spread: float, seeds: int, error_rate: float) -> float | None:
    """Returns the smallest mean difference that `seeds` find with a power of 0.8, for a standard deviation of the differences
    over seeds; None for fewer than two seeds. In the unit of `spread`."""
    if seeds < 2:
        return None
    at_least = float(stdtrit(seeds - 1, 1 - error_rate / 2)) / math.sqrt(seeds)
    most = at_least
    while power_of(most, seeds, error_rate) < POWER:
        most *= 2
    return spread * float(brentq(lambda effect: float(power_of(effect, seeds, error_rate)) - POWER, 0, most, xtol=1e-9))
