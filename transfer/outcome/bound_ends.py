"""Intervals of accuracy where images that training has seen count as errors, and without them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagmill.transfer.outcome.figures import group_places
from tagmill.transfer.outcome.intervals import Floats, bootstrap, sums_by_group, wilson_estimate
from tagmill.transfer.outcome.outcome import Outcome

Ends = tuple[float, float]


@dataclass(frozen=True)
class BoundEnds:
    """The ends of intervals with a level of 0.95, low and high."""

    accuracy: Ends
    lower: Ends
    deduplicated: Ends | None  # None where all images were seen
    kind: str  # how they were made


def bound_ends(outcome: Outcome, correct: npt.NDArray[np.bool_], met: npt.NDArray[np.bool_], seed: int) -> BoundEnds:
    """Returns the intervals of the shares of an outcome's images that are correct. `correct`, `met`: [n], whether an image is
    correct, and whether training has seen it. `seed`: of the bootstrap."""
    images, rest, unseen = len(met), int((~met).sum()), int((correct & ~met).sum())
    group, number = group_places(outcome)
    if number == images:
        without = _wilson(unseen, rest) if rest else None
        return BoundEnds(_wilson(int(correct.sum()), images), _wilson(unseen, images), without, "Wilson")
    columns = met + 2 * correct

    def statistic(drawn: Floats) -> Floats:
        """`drawn` [b, 4]: unseen and wrong, seen and wrong, unseen and correct, seen and correct."""
        all_of_them, others = drawn.sum(axis=1), drawn[:, 0] + drawn[:, 2]
        none = np.full(len(drawn), np.nan if rest else 0.0)
        without = np.divide(drawn[:, 2], others, out=none, where=others > 0)
        return np.stack([(drawn[:, 2] + drawn[:, 3]) / all_of_them, drawn[:, 2] / all_of_them, without], axis=1)

    low, high = bootstrap(sums_by_group(group, columns.astype(np.int64), number, 4), statistic, seed)
    pairs = list(zip(low.tolist(), high.tolist(), strict=True))
    return BoundEnds(pairs[0], pairs[1], pairs[2] if rest else None, "bootstrap over groups")


def _wilson(right: int, of: int) -> Ends:
    _, low, high = wilson_estimate(right, of)
    return low, high
