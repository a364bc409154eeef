"""The interval of a mean difference over pairs of runs that share a seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class PairedDifference:
    """The mean of trained minus random over pairs of runs, with its interval; None where one pair gives none."""

    mean: float
    low: float | None
    high: float | None


def paired_difference(trained: Sequence[float], random: Sequence[float]) -> PairedDifference:
    """Returns the mean difference and Student's interval over the pairs."""
    differences = np.subtract(trained, random)
    mean, count = float(differences.mean()), len(differences)
    if count < 2:
        return PairedDifference(mean, None, None)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1) * differences.std(ddof=1) / np.sqrt(count))
    return PairedDifference(mean, mean - half, mean + half)
