"""Scores of classes from the calibrated outputs of a model's labels."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from tagmill.transfer.zero_shot.class_map import ClassLabels

Score = Literal["sum", "mean", "max"]
SCORES: tuple[Score, ...] = ("sum", "mean", "max")
MOST_TOP = 5  # classes that an outcome keeps of an image


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


def best_classes(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Returns the best min(5, classes) classes of each image, best first, of equal ones the first; -1 for minus infinity."""
    most = min(MOST_TOP, scores.shape[1])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :most]
    best = np.take_along_axis(scores, order, axis=1)
    return np.where(np.isneginf(best), -1, order).astype(np.int64)
