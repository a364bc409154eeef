"""Figures over runs that differ in their seed: Student's interval of a mean, and of a mean difference over pairs of runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from scipy.special import stdtrit

from tagmill.transfer.outcome.intervals import LEVEL, Estimate


def t_interval(values: Sequence[float], level: float = LEVEL) -> Estimate | None:
    """Returns the mean with Student's t interval; None for fewer than two values."""
    if len(values) < 2:
        return None
    middle = mean(values)
    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * stdev(values, middle) / len(values) ** 0.5
    return Estimate(middle, middle - half, middle + half)


@dataclass(frozen=True)
class PairedDifference:
    """The mean of trained minus random over pairs of runs, with its interval; None where one pair gives none."""

    mean: float
    low: float | None
    high: float | None


def paired_difference(trained: Sequence[float], random: Sequence[float]) -> PairedDifference:
    """Returns the mean difference and Student's interval over the pairs."""
    differences = [ours - theirs for ours, theirs in zip(trained, random, strict=True)]
    found = t_interval(differences)
    return PairedDifference(mean(differences), None, None) if found is None else PairedDifference(*found)
