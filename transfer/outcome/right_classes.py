"""Which classes of an image are right: one, or several where a set says so."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.sets.any_label import AnyLabelSet
from tagmill.transfer.sets.labelled_set import LabelledSet


def with_right_classes(outcome: Outcome, test: LabelledSet) -> Outcome:
    """Returns an outcome on `test` with all right classes of its images: the outcome itself where each has one."""
    if not isinstance(test, AnyLabelSet):
        return outcome
    right = {example.key: labels for example, labels in zip(test.examples, test.right, strict=True)}
    return replace(outcome, accepted=padded([right[key] for key in outcome.keys.tolist()]))


def padded(labels: list[tuple[int, ...]]) -> npt.NDArray[np.int64]:
    """Returns labels of n images as [n, m], filled with -1, where m is the largest number of labels."""
    found = np.full((len(labels), max(map(len, labels), default=1)), -1, np.int64)
    for row, some in enumerate(labels):
        found[row, : len(some)] = some
    return found


def right_at(outcome: Outcome) -> npt.NDArray[np.bool_]:
    """Returns [n, k]: whether a right class of an image is among its best 1, 2, ..., k."""
    columns = outcome.truth[:, None] if outcome.accepted is None else outcome.accepted
    hits = np.zeros(outcome.top.shape, np.bool_)
    for column in columns.T:  # one at a time: memory is that of the predictions
        hits |= (outcome.top == column[:, None]) & (column >= 0)[:, None]
    found: npt.NDArray[np.bool_] = np.logical_or.accumulate(hits, axis=1)
    return found


def true_pairs(outcome: Outcome) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns image (place in the outcome) and class of each pair of an image and a right class, in the order of the images."""
    if outcome.accepted is None:
        return np.arange(len(outcome.truth)), outcome.truth
    rows, columns = np.nonzero(outcome.accepted >= 0)
    return rows.astype(np.int64), outcome.accepted[rows, columns]
