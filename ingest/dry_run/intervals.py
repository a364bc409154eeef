"""Intervals of 95 % confidence for what a sample says about all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_Z = 1.959964  # of a normal distribution, two-sided 95 %


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its bounds; all three are equal where everything was measured."""

    low: float
    value: float
    high: float

    def times(self, factor: float) -> "Interval":
        """Returns the interval of `factor` times the value; `factor` is not negative."""
        return Interval(self.low * factor, self.value * factor, self.high * factor)


def share_interval(hits: int, sample: int, population: int) -> Interval:
    """Returns the share of hits by Wilson's score interval (J. Am. Stat. Assoc. 22, 1927).

    The sample is drawn without replacement from `population`, so it counts as a larger one where it is a good part of it
    (finite population correction). A sample of nothing gives 0 to 1.
    """
    if not sample:
        return Interval(0.0, 0.0, 1.0)
    share = hits / sample
    if sample >= population:
        return Interval(share, share, share)
    size = sample * (population - 1) / (population - sample)
    centre = (share + _Z**2 / (2 * size)) / (1 + _Z**2 / size)
    half = _Z / (1 + _Z**2 / size) * math.sqrt(share * (1 - share) / size + _Z**2 / (4 * size**2))
    return Interval(max(0.0, min(share, centre - half)), share, min(1.0, max(share, centre + half)))


def mean_interval(values: Sequence[float], population: int) -> Interval:
    """Returns the mean of values that are not negative, by the normal approximation with the same correction.

    One value says nothing about others: its interval has no upper bound.
    """
    size = len(values)
    if not size:
        return Interval(0.0, 0.0, math.inf)
    mean = math.fsum(values) / size
    if size >= population:
        return Interval(mean, mean, mean)
    if size == 1:
        return Interval(0.0, mean, math.inf)
    variance = math.fsum((value - mean) ** 2 for value in values) / (size - 1)
    half = _Z * math.sqrt(variance / size * (population - size) / (population - 1))
    return Interval(max(0.0, mean - half), mean, mean + half)
