"""Cut-offs: the lowest score of a class that is chosen, found from how many images have each score.

Counting first keeps the cost linear and the memory small: images are compared by key only where they have the lowest
score, and no class is sorted as a whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tagmill.shards.arrays import Int32s, Int64s

BELOW_ALL = -1  # a cut-off that every score is above


@dataclass
class ClassScores:
    """The scores of one class, and the lowest that is chosen."""

    images: int = 0  # with a score
    best: int = 0  # score, units of 2^-16
    lowest: int | None = None  # None: all images are chosen
    tied: int = 0  # images with the lowest score
    room: int = 0  # of these, how many are chosen

    @property
    def divided(self) -> bool:
        """Whether only a part of the images with the lowest score is chosen."""
        return self.room < self.tied

    @property
    def cutoff(self) -> int:
        """The score that images are chosen above; `divided` adds some at it."""
        if self.lowest is None:
            return BELOW_ALL
        return self.lowest if self.divided else self.lowest - 1


def class_scores(batches: Iterable[pa.RecordBatch], k: int) -> dict[int, ClassScores]:
    """Returns the scores of each class, by label, with the cut-off of its `k` best images.

    `batches` have label, score and images: numbers of images by class and score, classes one after another, scores
    falling. Where a class has at most `k` images, all are chosen.
    """
    found: dict[int, ClassScores] = {}
    for batch in batches:
        labels, scores, images = (batch[name].to_numpy() for name in ("label", "score", "images"))
        starts = np.flatnonzero(np.diff(labels, prepend=labels[:1] - 1))
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(labels)], strict=True):
            each = found.setdefault(int(labels[start]), ClassScores(best=int(scores[start])))
            _add(each, scores[start:stop], images[start:stop], k)
    return found


def _add(each: ClassScores, scores: Int32s, images: Int64s, k: int) -> None:
    """Adds further scores of a class, lower than those before."""
    ends = each.images + np.cumsum(images)
    place = int(np.searchsorted(ends, k))  # the first score at which k images are reached
    if each.images < k and place < len(ends):
        each.lowest, each.tied = int(scores[place]), int(images[place])
        each.room = k - int(ends[place] - images[place])
    each.images = int(ends[-1])
