"""What every probe works on: features to learn from and features to judge on, of one model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tagmill.shards import ConfigError
from tagmill.transfer.features.feature_table import FeatureTable
from tagmill.transfer.outcome.outcome import Outcome

Scores = npt.NDArray[np.float64]  # [n, classes], higher is better
Places = npt.NDArray[np.int64]
MOST_TOP = 5
BLOCK_ROWS = 4096  # rows of features that are worked on at once


@dataclass(frozen=True)
class ProbeInput:
    """Features of a training set and a test set with the same classes. Raises ConfigError for tables that no probe can use:
    without rows, with fewer than two classes in the training set, with features that are not finite or labels out of range."""

    model: str
    set: str
    train: FeatureTable
    test: FeatureTable
    missing: tuple[int, ...] = field(init=False)  # classes without a training image: no probe ever predicts them

    def __post_init__(self) -> None:
        train, test = self.train, self.test
        if train.classes != test.classes:
            what = f"the training set has {len(train.classes):,} classes and the test set other ones ({len(test.classes):,})"
            raise ConfigError(what, self.set, "give two parts of one set")
        for part, table in (("training", train), ("test", test)):
            _check(table, f"{self.set}, {part} set")
        if train.values.shape[1] != test.values.shape[1]:
            sizes = f"{train.values.shape[1]:,} and {test.values.shape[1]:,}"
            raise ConfigError(f"features of {sizes} numbers an image", self.set, "extract both with one model")
        count = self.counts()
        if np.count_nonzero(count) < 2:
            raise ConfigError(
                "the images of the training set are all of one class", self.set, "give a set with two or more"
            )
        object.__setattr__(self, "missing", tuple(int(place) for place in np.flatnonzero(count == 0)))

    def counts(self) -> Places:
        """Returns the number of training images of each class."""
        return np.bincount(self.train.labels, minlength=len(self.train.classes)).astype(np.int64)

    def outcome(self, protocol: str, top: Places, settings: Mapping[str, object]) -> Outcome:
        """Returns the outcome of a protocol on the test set. `top`: [n, k], see `Outcome`."""
        test = self.test
        facts = {"training_images": len(self.train), "classes_without_training_images": len(self.missing)}
        return Outcome(
            protocol,
            self.model,
            self.set,
            test.classes,
            test.keys,
            test.labels,
            top,
            {**facts, **settings},
            test.skipped,
            test.groups,
        )


def predictions(
    values: npt.NDArray[np.float32], scores: Callable[[npt.NDArray[np.float32]], Scores], never: tuple[int, ...] = ()
) -> Places:
    """Returns the best classes of features [n, d], see `best_classes`. `scores` makes [rows, classes] of some rows: those of
    all would take much memory where there are many classes."""
    blocks = (values[start : start + BLOCK_ROWS] for start in range(0, len(values), BLOCK_ROWS))
    return np.concatenate([best_classes(scores(block), never) for block in blocks])


def best_classes(scores: Scores, never: tuple[int, ...] = ()) -> Places:
    """Returns the places of the at most 5 best classes of each row, best first, [n, min(5, classes)]. Of equal scores the lower
    place comes first. Classes in `never`, and those whose score is -inf, are not predicted: -1 fills their places."""
    scores = scores.copy()
    scores[:, list(never)] = -np.inf
    top = np.argsort(-scores, axis=1, kind="stable")[:, :MOST_TOP].astype(np.int64)
    top[np.isneginf(np.take_along_axis(scores, top, axis=1))] = -1
    return top


def _check(table: FeatureTable, where: str) -> None:
    if not len(table):
        raise ConfigError("no image with a label and features", where, "give a set whose images can be decoded")
    if table.labels.min() < 0 or table.labels.max() >= len(table.classes):
        raise ConfigError(f"labels outside of the {len(table.classes):,} classes", where, "extract the features again")
    for start in range(0, len(table), BLOCK_ROWS):
        rows = np.isfinite(table.values[start : start + BLOCK_ROWS]).all(axis=1)
        if not rows.all():
            key = table.keys[start + int(np.argmin(rows))]
            raise ConfigError("features that are not finite", f"{where}, {key}", "the weights are broken or overflow")
