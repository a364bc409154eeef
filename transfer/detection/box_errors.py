"""What a detector has wrong: objects that it misses and boxes of no object, counted by class, and of some images kept."""

import hashlib
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tagmill.transfer.detection.targets import Target
from tagmill.transfer.outcome.intervals import Floats

SCORE = 0.5  # from which on a detection counts here; average precision takes all
OVERLAP = 0.5  # intersection over union of a detection and an object that are the same
MOST_BOXES = 12  # of an image that are kept

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClassMatches:
    """How the objects of a class and the detections of it with a score of SCORE or more meet at an overlap of OVERLAP."""

    objects: int  # without crowds
    found: int  # objects with a detection of their class
    wrong: int  # detections of no object of the class, and of none of its crowds


class BoxError(NamedTuple):
    """An object that was missed, or a detection of no object of its class."""

    label: int  # place in the classes
    box: tuple[float, float, float, float]  # left, top, right, bottom, pixels
    score: float | None  # None: an object that was missed


@dataclass(frozen=True)
class ImageErrors:
    """The errors of one image: the largest missed objects first, then detections with the highest score."""

    key: str
    errors: tuple[BoxError, ...]  # at most MOST_BOXES
    more: int  # errors beyond these


class BoxErrors:
    """Counts errors image by image, and keeps those of `most` images, in memory that does not grow with the set. Which of the
    images with errors are kept is decided by a hash of their keys."""

    def __init__(self, classes: int, most: int) -> None:
        self._counts = np.zeros((classes, 3), np.int64)  # objects, found, wrong
        self._kept: list[tuple[bytes, int, ImageErrors]] = []
        self._most, self._seen = most, 0

    def add(self, key: str, found: Target, target: Target) -> None:
        """Counts an image. `found`: what a detector gives; `target`: what `evaluation_target` gives for the same image."""
        kept = found["scores"].numpy() >= SCORE
        boxes, labels, scores = (found[name].double().numpy()[kept] for name in ("boxes", "labels", "scores"))
        objects, own = target["boxes"].double().numpy(), target["labels"].double().numpy()
        crowd = target["iscrowd"].numpy() == 1
        taken, wrong = matched(boxes, labels, scores, objects, own, crowd)
        missed = ~taken & ~crowd
        places = own.astype(np.int64) - 1
        np.add.at(self._counts[:, 0], places[~crowd], 1)
        np.add.at(self._counts[:, 1], places[taken], 1)
        np.add.at(self._counts[:, 2], labels[wrong].astype(np.int64) - 1, 1)
        self._seen += 1
        if self._most and (missed.any() or wrong.any()):
            rows = [BoxError(int(own[at]) - 1, _box(objects[at]), None) for at in np.flatnonzero(missed)]
            rows.sort(key=_area, reverse=True)
            some = [BoxError(int(labels[at]) - 1, _box(boxes[at]), float(scores[at])) for at in np.flatnonzero(wrong)]
            self._keep(key, [*rows, *sorted(some, key=lambda each: -(each.score or 0))])

    def matches(self) -> tuple[ClassMatches, ...]:
        """Returns the counts, in the order of the classes."""
        return tuple(ClassMatches(*map(int, row)) for row in self._counts)

    def images(self) -> list[ImageErrors]:
        """Returns the images that are kept, in the order of their hashes."""
        return [each for _, _, each in self._kept]

    def _keep(self, key: str, errors: Sequence[BoxError]) -> None:
        made = ImageErrors(key, tuple(errors[:MOST_BOXES]), max(0, len(errors) - MOST_BOXES))
        insort(self._kept, (hashlib.sha256(key.encode()).digest(), self._seen, made))
        del self._kept[self._most :]


def matched(
    boxes: Floats, labels: Floats, scores: Floats, objects: Floats, own: Floats, crowd: Flags
) -> tuple[Flags, Flags]:
    """Matches detections (`boxes` [n, 4], `labels` [n], `scores` [n]) to objects (`objects` [m, 4], `own` labels [m], `crowd`
    [m]) as COCO does: by falling score, each takes the object of its class that it overlaps most and that is still free.

    Returns which objects were taken [m], crowds never, and which detections are wrong [n]: one that has OVERLAP of its own
    area in a crowd of its class is not.
    """
    across = np.minimum(boxes[:, None, 2:], objects[None, :, 2:]) - np.maximum(boxes[:, None, :2], objects[None, :, :2])
    shared = np.clip(across, 0, None).prod(axis=2)
    areas, theirs = _areas(boxes), _areas(objects)
    whole = np.where(crowd[None], areas[:, None], areas[:, None] + theirs[None] - shared)
    overlap = np.where(labels[:, None] == own[None], shared / np.maximum(whole, 1e-12), 0.0)
    taken, wrong = np.zeros(len(objects), bool), np.ones(len(boxes), bool)
    for row in np.argsort(-scores, kind="stable").tolist():
        free = np.where(taken | crowd, 0.0, overlap[row])
        best = int(free.argmax()) if len(free) else 0
        if len(free) and free[best] >= OVERLAP:
            taken[best], wrong[row] = True, False
        elif (overlap[row][crowd] >= OVERLAP).any():
            wrong[row] = False
    return taken, wrong


def _areas(boxes: Floats) -> Floats:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _area(error: BoxError) -> float:
    left, top, right, low = error.box
    return (right - left) * (low - top)


def _box(row: Floats) -> tuple[float, float, float, float]:
    left, top, right, low = map(float, row)
    return left, top, right, low
