"""How far runs differ that differ in nothing but their seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from scipy.stats import chi2

from tagmill.studies.verdict.seeds import ERROR_RATE, smallest_visible

WANTED = 5  # runs; with fewer the spread is hardly known


@dataclass(frozen=True)
class SeedSpread:
    """The standard deviation over seeds of one measure of the natural runs, and what it allows to see."""

    measure: str
    runs: int
    mean: float
    deviation: float
    low: float  # 95 % interval of the deviation, for normal values
    high: float
    seeds: int  # planned for each arm
    comparisons: int  # of the study, which share the error rate
    visible: (
        float | None
    )  # smallest difference between two arms that `seeds` find with a power of 0.8; None for one seed


def seed_spread(measure: str, values: Sequence[float], seeds: int, comparisons: int) -> SeedSpread | None:
    """Returns the spread of a measure over natural runs; None for fewer than two.

    The difference of two arms has a standard deviation of sqrt(2) times that of a run where their runs of one seed are
    independent; pairs that have something in common differ less.
    """
    if len(values) < 2:
        return None
    deviation, free = stdev(values), len(values) - 1
    low, high = (deviation * math.sqrt(free / float(chi2.ppf(tail, free))) for tail in (0.975, 0.025))
    rate = ERROR_RATE / max(1, comparisons)
    visible = smallest_visible(deviation * math.sqrt(2), seeds, rate)
    return SeedSpread(measure, len(values), mean(values), deviation, low, high, seeds, comparisons, visible)
