"""Two outcomes on the same images: the difference of their accuracies with a paired interval, and McNemar's exact test."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from tagmill.shards import ConfigError
from tagmill.transfer.outcome.check import check_outcome
from tagmill.transfer.outcome.figures import group_places
from tagmill.transfer.outcome.intervals import Estimate, Floats, bootstrap, sums_by_group, wilson_estimate
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.right_classes import right_at, true_pairs


@dataclass(frozen=True)
class Comparison:
    """Two outcomes on the images that both have. Shares are 0 to 1; intervals have a level of 0.95."""

    images: int  # that both have
    only_first: int  # images that the second does not have
    only_second: int
    both_right: int
    first_right: int  # images that only the first has right
    second_right: int
    both_wrong: int
    first: Estimate  # top-1 accuracies, with Wilson intervals
    second: Estimate
    difference: Estimate  # second minus first, by paired bootstrap over groups
    p_value: float  # exact two-sided McNemar test, which takes images as independent
    groups: int | None  # None: every image on its own


def compare_outcomes(first: Outcome, second: Outcome, seed: int = 0) -> Comparison:
    """Compares top-1 predictions on the images that both outcomes have. `seed`: of the bootstrap. Raises ConfigError where they
    have no image in common, or differ in the right classes of one: these are different sets."""
    check_outcome(first)
    check_outcome(second)
    _, ours, theirs = np.intersect1d(first.keys, second.keys, assume_unique=True, return_indices=True)
    where = f"{first.set} and {second.set}"
    if not len(ours):
        raise ConfigError("no image in common", where, "compare two models on the same test set")
    _check_same_truth(first, second, ours, theirs, where)
    left, right = right_at(first)[ours, 0], right_at(second)[theirs, 0]
    gained, lost = int((right & ~left).sum()), int((left & ~right).sum())
    places, number = group_places(first)
    used, group = np.unique(places[ours], return_inverse=True)
    low, high = _paired(left, right, group.astype(np.int64), len(used), seed)
    count = len(ours)
    return Comparison(
        images=count,
        only_first=len(first.keys) - count,
        only_second=len(second.keys) - count,
        both_right=int((left & right).sum()),
        first_right=lost,
        second_right=gained,
        both_wrong=int((~left & ~right).sum()),
        first=wilson_estimate(int(left.sum()), count),
        second=wilson_estimate(int(right.sum()), count),
        difference=Estimate((gained - lost) / count, low, high),
        p_value=mcnemar(lost, gained),
        groups=len(used) if number < len(first.keys) else None,
    )


def mcnemar(first_right: int, second_right: int) -> float:
    """Returns the p value of the exact two-sided McNemar test of images that only one of two has right; 1 without any."""
    pairs = first_right + second_right
    return float(binomtest(first_right, pairs, 0.5).pvalue) if pairs else 1.0


def _check_same_truth(
    first: Outcome, second: Outcome, ours: npt.NDArray[np.intp], theirs: npt.NDArray[np.intp], where: str
) -> None:
    """Classes are compared by their names: their order may differ."""
    names = {each.name: place for place, each in enumerate(first.classes)}
    moved = np.array([names.get(each.name, -1) for each in second.classes], np.int64)
    size = len(first.classes) + 1
    left = _codes(first, ours, np.arange(len(first.classes)), size)
    differ = len(np.unique(np.setxor1d(left, _codes(second, theirs, moved, size)) // size))
    if differ:
        what = f"{differ:,} of {len(ours):,} common images have another true class"
        raise ConfigError(what, where, "compare two models on the same test set")


def _codes(
    outcome: Outcome, common: npt.NDArray[np.intp], moved: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.int64]:
    """Returns a number for each pair of a common image and a right class."""
    place = np.full(len(outcome.keys), -1, np.int64)
    place[common] = np.arange(len(common))
    rows, labels = true_pairs(outcome)
    kept = place[rows] >= 0
    return place[rows[kept]] * size + moved[labels[kept]] + 1


def _paired(
    left: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_], group: npt.NDArray[np.int64], number: int, seed: int
) -> tuple[float, float]:
    columns = np.zeros(len(left), np.int64) + (right & ~left) + 2 * (left & ~right)  # 0: alike, 1: gained, 2: lost

    def statistic(drawn: Floats) -> Floats:
        found: Floats = ((drawn[:, 1] - drawn[:, 2]) / drawn.sum(axis=1))[:, None]
        return found

    low, high = bootstrap(sums_by_group(group, columns, number, 3), statistic, seed)
    return float(low[0]), float(high[0])
