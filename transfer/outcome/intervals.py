"""Intervals of accuracies: Wilson's for independent images, and the bootstrap over groups of images."""

from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats = npt.NDArray[np.float64]

LEVEL = 0.95  # of every interval
REPLICATES = 2000  # of a bootstrap
_CELLS = 4_000_000  # numbers of a block of replicates in memory


class Estimate(NamedTuple):
    """A share, 0 to 1, or a difference of shares, with the ends of its interval."""

    value: float
    low: float
    high: float


def wilson(right: npt.ArrayLike, of: npt.ArrayLike, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Returns the lower and upper ends of Wilson's score intervals without continuity correction (Wilson 1927) for `right`
    of `of` independent trials, elementwise; 0 and 1 where there are no trials."""
    hits, trials = np.asarray(right, np.float64), np.asarray(of, np.float64)
    z = NormalDist().inv_cdf((1 + level) / 2)
    most = np.maximum(trials, 1)
    share = hits / most
    centre = (share + z * z / (2 * most)) / (1 + z * z / most)
    half = z / (1 + z * z / most) * np.sqrt(share * (1 - share) / most + z * z / (4 * most * most))
    # Rounding must not move the ends that are exact.
    low = np.where((trials > 0) & (hits > 0), np.clip(centre - half, 0, 1), 0.0)
    high = np.where((trials > 0) & (hits < trials), np.clip(centre + half, 0, 1), 1.0)
    return low, high


def wilson_estimate(right: int, of: int) -> Estimate:
    """Returns the share `right` of `of` (at least 1) with its Wilson interval."""
    low, high = wilson(right, of)
    return Estimate(right / of, float(low), float(high))


def sums_by_group(
    group: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], num_groups: int, width: int
) -> sparse.csr_array:
    """Returns int64 [num_groups, width]: how often each group has each column. `group` and `columns` are pairs."""
    ones = np.ones(len(group), np.int64)
    return sparse.coo_array((ones, (group, columns)), shape=(num_groups, width)).tocsr()


def bootstrap(
    sums: sparse.csr_array, statistic: Callable[[Floats], Floats], seed: int = 0, replicates: int = REPLICATES
) -> tuple[Floats, Floats]:
    """Returns lower and upper ends [k] of percentile intervals when whole groups, rows of `sums` [groups, m], are drawn with
    replacement. `statistic` maps summed rows [replicates, m] to [replicates, k]; NaN is a replicate without a value.

    Groups with equal rows are drawn together by a multinomial number, which is the same distribution. So the cost depends on
    the number of different rows.
    """
    rows, copies = _distinct(sums)
    groups = int(copies.sum())
    chances = copies / groups
    draws = np.random.default_rng(seed)
    block = max(1, _CELLS // (rows.shape[0] + rows.shape[1]))
    found = []
    for start in range(0, replicates, block):
        times = draws.multinomial(groups, chances, size=min(block, replicates - start))
        found.append(statistic((rows.T @ times.T).T.astype(np.float64)))
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(np.concatenate(found), (tail, 1 - tail), axis=0)
    return low, high


def _distinct(sums: sparse.csr_array) -> tuple[sparse.csr_array, npt.NDArray[np.int64]]:
    """The different rows, and how many there are of each; rows are equal where two 64-bit linear hashes are.
    Their order depends on their content only."""
    mixing = np.random.default_rng(1).integers(-(1 << 62), 1 << 62, (sums.shape[1], 2))
    hashes = sums @ mixing  # wraps around
    _, first, copies = np.unique(hashes, axis=0, return_index=True, return_counts=True)
    return sums[first], copies.astype(np.int64)
