"""Images that a model has wrong, small enough for a page."""

import hashlib
from dataclasses import dataclass

import numpy as np

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images.prepare import prepare
from tagmill.ingest.images.rejected import Rejected
from tagmill.shards.formats.report_pictures import PICTURE_SIDE, small_picture
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.right_classes import right_at
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.set_image_policy import MOST_PIXELS

_POLICY = ImagePolicy(PICTURE_SIDE, 85, min_side=1, max_pixels=MOST_PIXELS)


@dataclass(frozen=True)
class ErrorImage:
    """An image with its class and the class that was predicted."""

    key: str
    truth: str  # its right class, or classes
    predicted: str | None  # None: no class
    jpeg: bytes | None  # at most PICTURE_BYTES; None where the image cannot be read or decoded


def error_images(outcome: Outcome, test: LabelledSet, most: int) -> list[ErrorImage]:
    """Returns at most `most` errors, of as many true classes as there are: one of each class, then a second one. Which images
    of a class is decided by a hash of their keys. An image that is no longer in the set is left out."""
    places = {example.key: place for place, example in enumerate(test.examples)}
    rows = [row for row in _chosen(outcome, most) if str(outcome.keys[row]) in places]
    names = [each.name for each in outcome.classes]
    found = []
    for row in rows:  # one image at a time in memory: their size is the set's
        key = str(outcome.keys[row])
        (body,) = test.read([places[key]])
        first = int(outcome.top[row, 0])
        predicted = names[first] if first >= 0 else None
        right = outcome.truth[row : row + 1] if outcome.accepted is None else outcome.accepted[row]
        truth = " or ".join(names[label] for label in right.tolist() if label >= 0)
        found.append(ErrorImage(key, truth, predicted, small_image(body)))
    return found


def _chosen(outcome: Outcome, most: int) -> list[int]:
    wrong = np.flatnonzero(~right_at(outcome)[:, 0])
    seen: dict[int, int] = {}
    ranked = []
    for row in sorted(wrong.tolist(), key=lambda row: hashlib.sha256(str(outcome.keys[row]).encode()).digest()):
        label = int(outcome.truth[row])
        ranked.append((seen.get(label, 0), label, row))
        seen[label] = seen.get(label, 0) + 1
    return [row for _, _, row in sorted(ranked)[:most]]


def small_image(body: bytes | None) -> bytes | None:
    """Returns a small JPEG of an image of any format of the web; None where it is missing or cannot be decoded."""
    made = None if body is None else prepare(body, _POLICY)
    return None if made is None or isinstance(made, Rejected) else small_picture(made.jpeg)
