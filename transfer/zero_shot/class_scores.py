"""Scores of classes from the calibrated outputs of a model's labels."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from tagmill.transfer.zero_shot.class_map import ClassLabels

Score = Literal["sum", "mean", "max"]
SCORES: tuple[Score, ...] = ("sum", "mean", "max")


def class_scores(
    log_shares: npt.NDArray[np.float64], mapped: Sequence[ClassLabels], score: Score
) -> npt.NDArray[np.float64]:
    """Returns logarithms of the sum, mean or maximum of the outputs of each class's labels, [n, classes]; minus infinity for a
    class without a label.

    `log_shares`: [n, labels], logarithms of outputs.
    """
    found = np.full((len(log_shares), len(mapped)), -np.inf)
    covered = np.array([place for place, each in enumerate(mapped) if each.labels], np.int64)
    if not len(covered) or not len(log_shares):
        return found
    sizes = np.array([len(mapped[place].labels) for place in covered])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    columns = log_shares[:, [row for place in covered for row in mapped[place].labels]]
    best = np.maximum.reduceat(columns, starts, axis=1)
    if score != "max":
        apart = np.exp(columns - np.repeat(best, sizes, axis=1))
        best = best + np.log(np.add.reduceat(apart, starts, axis=1)) - (np.log(sizes) if score == "mean" else 0.0)
    found[:, covered] = best
    return found
