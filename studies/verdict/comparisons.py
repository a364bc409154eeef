"""Every comparison of a study with its paired t interval, at a level that Holm's procedure gives it among all of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr

from tagmill.studies.verdict.contrasts import Contrast, paired_values
from tagmill.studies.verdict.holm import Corrected, holm
from tagmill.studies.verdict.measured import Measured
from tagmill.studies.verdict.seeds import ERROR_RATE
from tagmill.transfer.outcome.intervals import Estimate
from tagmill.transfer.outcome.over_seeds import t_interval

NO_SPREAD = 1e-9  # values over seeds that differ by less are equal: shares of images differ by more


@dataclass(frozen=True)
class Compared:
    """What the seeds of a study say of one contrast."""

    contrast: Contrast
    values: Mapping[int, float]  # of each seed that has all its arms
    dropped: tuple[int, ...]  # planned seeds that lack a run of one of its arms
    mean: float | None  # None without a seed
    spread: float | None  # standard deviation over seeds; None for fewer than two
    interval: Estimate | None  # paired t interval; None where the spread is not known
    level: float  # of the interval: 1 minus the share of the error rate that Holm's procedure gives it
    p: float | None  # of the two-sided paired t test
    p_adjusted: float | None  # after Holm's procedure

    @property
    def label(self) -> str:
        """What is compared."""
        return self.contrast.label

    @property
    def state(self) -> Literal["above", "below", "open"]:
        """Whether the interval is above 0, below 0, or neither."""
        if self.interval is None:
            return "open"
        return "above" if self.interval.low > 0 else "below" if self.interval.high < 0 else "open"


def compare(
    contrasts: Sequence[Contrast], values: Mapping[str, Measured], planned: Sequence[int]
) -> dict[Contrast, Compared]:
    """Returns every contrast with its interval; those that occur twice count once.

    `values`: by measure. `planned`: seeds of the plan.
    """
    each = list(dict.fromkeys(contrasts))
    paired = [paired_values(contrast, values.get(contrast.measure, {}), planned) for contrast in each]
    p_values = [paired_p_value(list(found.values())) for found, _ in paired]
    # One that cannot be tested keeps its place among the others: a run that fails must not make them easier to decide.
    corrected = holm([1.0 if p is None else p for p in p_values], ERROR_RATE)
    return {
        contrast: _compared(contrast, found, dropped, p, of)
        for contrast, (found, dropped), p, of in zip(each, paired, p_values, corrected, strict=True)
    }


def paired_p_value(values: Sequence[float]) -> float | None:
    """Returns the p value of the two-sided t test that the mean of differences is 0; None for fewer than two, and where they
    are all equal, so that their spread is not known."""
    if len(values) < 2:
        return None
    spread = float(np.std(values, ddof=1))
    if spread <= NO_SPREAD:
        return None
    t = float(np.mean(values)) / (spread / math.sqrt(len(values)))
    return 2 * float(stdtr(len(values) - 1, -abs(t)))


def _compared(
    contrast: Contrast, found: dict[int, float], dropped: tuple[int, ...], p: float | None, corrected: Corrected
) -> Compared:
    numbers = list(found.values())
    level = 1 - ERROR_RATE * corrected.share
    return Compared(
        contrast=contrast,
        values=found,
        dropped=dropped,
        mean=float(np.mean(numbers)) if numbers else None,
        spread=float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None,
        interval=None if p is None else t_interval(numbers, level),
        level=level,
        p=p,
        p_adjusted=None if p is None else corrected.p,
    )
