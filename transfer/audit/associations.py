"""Differences between groups in how often a label is predicted, with intervals and a test over subjects.

The difference is that of FAIR's public `fairness_indicators` (vissl): the share of a group's images with the label among the
best k, minus the mean of the shares of the other groups, signed. Images of one subject are alike, so subjects are drawn
(bootstrap) and permuted (test), never images.

The test is exact for any number of permutations: under no association, the groups of subjects are exchangeable, and what a
difference is divided by is the same for every permutation. A p-value is the share of permutations in which the largest of all
standardised differences is at least the observed one, so that the level holds for all labels and groups together (Westfall and
Young's max-T).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from tagmill.shards import ConfigError
from tagmill.transfer.audit.subject_counts import SubjectCounts

POWER = 0.8  # of the smallest difference that is reported
_ENTRIES = 1 << 22  # numbers of a block of permutations or draws

Rates = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Associations:
    """Results for t tested labels and subtrees and g groups."""

    counts: SubjectCounts
    rates: Rates  # [g, t], share of a group's images
    difference: Rates  # [g, t], minus the mean of the other groups
    low: Rates  # [g, t], ends of the bootstrap interval
    high: Rates
    p: Rates  # [g, t], for all labels and groups together
    least: Rates  # [g, t], difference that the test would find with a probability of 0.8, about
    level: float
    permutations: int

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Which differences are findings at the level, [g, t]."""
        return self.p <= self.level


def associate(
    counts: SubjectCounts, level: float = 0.05, permutations: int = 9_999, draws: int = 2_000, seed: int = 0
) -> Associations:
    """Tests all differences. `level`: chance of any finding where there is no association; 1 - level is the coverage of an
    interval. Raises ConfigError for fewer permutations than a finding needs."""
    if (permutations + 1) * level < 1:
        remedy = f"give at least {math.ceil(1 / level) - 1:,}"
        raise ConfigError(f"{permutations:,} permutations cannot give p <= {level:g}", "audit", remedy)
    permuted, drawn = (np.random.default_rng([seed, stream]) for stream in range(2))
    rates = group_rates(counts.hits, counts.images, _members(counts.group[None], len(counts.groups)))[0]
    difference = minus_others(rates)
    p, spread, critical = _permuted(counts, difference, level, permutations, permuted)
    low, high = _intervals(counts, level, draws, drawn)
    least = np.where(spread > 0, (critical + norm.ppf(POWER)) * spread, np.nan)
    return Associations(counts, rates, difference, low, high, p, least, level, permutations)


def group_rates(hits: npt.NDArray[np.int64], images: npt.NDArray[np.int64], weights: npt.NDArray[np.float32]) -> Rates:
    """Returns the share of images with a label in each group, [b, g, t]. `hits`: [s, t], `images`: [s], `weights`: [b, g, s],
    how often a subject counts in a group. Products are exact in float32, as all are whole numbers below 2^24."""
    blocks, groups, subjects = weights.shape
    flat = weights.reshape(-1, subjects)
    totals = np.maximum((flat @ images.astype(np.float32)).astype(np.float64), 1)
    found = (flat @ hits.astype(np.float32)).astype(np.float64) / totals[:, None]
    rates: Rates = found.reshape(blocks, groups, -1)
    return rates


def minus_others(rates: Rates) -> Rates:
    """Returns the share of each group minus the mean of the shares of the others; groups are the last axis but one."""
    groups = rates.shape[-2]
    apart: Rates = (rates * groups - rates.sum(axis=-2, keepdims=True)) / (groups - 1)
    return apart


def _members(group: npt.NDArray[np.int64], groups: int) -> npt.NDArray[np.float32]:
    """Returns weights [b, g, s] of groups of subjects [b, s]."""
    weights: npt.NDArray[np.float32] = (group[:, None, :] == np.arange(groups)[None, :, None]).astype(np.float32)
    return weights


def _permuted(
    counts: SubjectCounts, observed: Rates, level: float, permutations: int, chance: np.random.Generator
) -> tuple[Rates, Rates, float]:
    """Returns p-values [g, t], the spread of each difference [g, t], and the critical standardised difference at the level."""
    spread = _spread(counts)
    scale = np.where(spread > 0, spread, np.inf)
    own = np.abs(observed) / scale
    blocks = [
        (np.abs(each) / scale).max(axis=(1, 2), initial=0.0) for each in _permutations(counts, permutations, chance)
    ]
    largest = np.sort(np.concatenate([*blocks, [own.max(initial=0.0)]]))
    # Equal counts that are added in another order may be a rounding apart.
    p = (len(largest) - np.searchsorted(largest, own * (1 - 1e-9), side="left")) / len(largest)
    critical = float(largest[math.ceil((1 - level) * len(largest)) - 1])
    return p, spread, critical


def _spread(counts: SubjectCounts) -> Rates:
    """Returns the standard deviation of each difference over permutations of subjects, to first order, [g, t]. It depends on
    the subjects and the sizes of groups only, so every permutation has the same."""
    images, hits = counts.images.astype(np.float64), counts.hits.astype(np.float64)
    subjects, groups = len(images), len(counts.groups)
    apart = hits - images[:, None] * (hits.sum(axis=0) / images.sum())
    variance = apart.var(axis=0, ddof=1)  # of one subject's count around its expectation
    sizes = np.bincount(counts.group, minlength=groups).astype(np.float64)
    covariance = np.diag(sizes) - np.outer(sizes, sizes) / subjects  # of the sums of groups, drawn without replacement
    weights = minus_others(np.eye(groups)) / (sizes * images.mean())
    factors = np.einsum("gh,hi,gi->g", weights, covariance, weights)
    spread: Rates = np.sqrt(factors[:, None] * variance)
    return spread


def _permutations(counts: SubjectCounts, number: int, chance: np.random.Generator) -> Iterator[Rates]:
    """Yields blocks of the differences under random permutations of subjects, [b, g, t]."""
    subjects, groups = len(counts.subjects), len(counts.groups)
    step = max(1, _ENTRIES // (groups * (subjects + counts.hits.shape[1])))
    for start in range(0, number, step):
        shuffled = chance.permuted(np.tile(counts.group, (min(step, number - start), 1)), axis=1)
        yield minus_others(group_rates(counts.hits, counts.images, _members(shuffled, groups)))


def _intervals(counts: SubjectCounts, level: float, draws: int, chance: np.random.Generator) -> tuple[Rates, Rates]:
    """Returns the ends of percentile intervals from samples of subjects, drawn within each group with replacement: [g, t]."""
    subjects, groups = len(counts.subjects), len(counts.groups)
    weights = np.zeros((draws, groups, subjects), np.float32)
    for number in range(groups):
        own = np.flatnonzero(counts.group == number)
        weights[:, number, own] = chance.multinomial(len(own), np.full(len(own), 1 / len(own)), draws)
    low, high = (np.empty((groups, counts.hits.shape[1])) for _ in range(2))
    step = max(1, _ENTRIES // (draws * groups))
    for start in range(0, counts.hits.shape[1], step):
        part = slice(start, start + step)
        differences = minus_others(group_rates(counts.hits[:, part], counts.images, weights))
        low[:, part], high[:, part] = np.quantile(differences, [level / 2, 1 - level / 2], axis=0)
    return low, high
