"""The page of a detector's evaluation: one HTML file, without scripts and without network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tagmill.pages.standalone import standalone_page
from tagmill.transfer.detection.average_precision import AveragePrecision
from tagmill.transfer.detection.box_errors import OVERLAP, SCORE, BoxError, ClassMatches, ImageErrors
from tagmill.transfer.detection.coco_set import CocoSet
from tagmill.transfer.detection.detection_outcome import DetectionOutcome
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.report.error_images import small_image

DETECTION_PAGE = "detection.html"
MOST_CLASS_ROWS = 100  # of the table; the JSON has all


@dataclass(frozen=True)
class BoxedImage:
    """An image with the boxes of its errors, in its own pixels."""

    key: str
    width: int
    height: int
    errors: tuple[BoxError, ...]
    more: int  # errors beyond these
    jpeg: bytes | None  # small; None where it cannot be read any more


class ClassRow(NamedTuple):
    """A line of the table of classes."""

    name: str
    boxes: float | None  # AP
    masks: float | None
    matches: ClassMatches | None


def boxed_images(kept: Sequence[ImageErrors], val: CocoSet) -> list[BoxedImage]:
    """Reads the images whose errors were kept, one at a time, and makes small ones."""
    places = {example.key: place for place, example in enumerate(val.stored.examples)}
    made = list[BoxedImage]()
    for each in kept:
        place = places[each.key]
        (body,), facts = val.stored.read([place]), val.images[place]
        made.append(BoxedImage(each.key, facts.width, facts.height, each.errors, each.more, small_image(body)))
    return made


def detection_page(outcome: DetectionOutcome, errors: Sequence[BoxedImage] = ()) -> bytes:
    """Returns the page of an outcome as UTF-8: average precision, classes, what was left out, errors with their boxes, and what
    made it."""
    rows = _class_rows(outcome)
    values = {
        "outcome": outcome,
        "figures": _figures(outcome),
        "shown": [*rows[: MOST_CLASS_ROWS // 2], *rows[-MOST_CLASS_ROWS // 2 :]]
        if len(rows) > MOST_CLASS_ROWS
        else rows,
        "classes": outcome.classes,
        "errors": errors,
        "score": SCORE,
        "overlap": OVERLAP,
        "text": lambda value: canonical_json(value).decode().strip(),
    }
    return standalone_page("tagmill.transfer.detection", "detection.html.jinja", values)


def _class_rows(outcome: DetectionOutcome) -> list[ClassRow]:
    """Returns the classes by falling AP of boxes, those without objects last."""
    masks = outcome.masks.per_class if outcome.masks else (None,) * len(outcome.classes)
    matches = outcome.matches or (None,) * len(outcome.classes)
    rows = [ClassRow(*each) for each in zip(outcome.classes, outcome.boxes.per_class, masks, matches, strict=True)]
    return sorted(rows, key=lambda row: (row.boxes is None, -(row.boxes or 0.0)))


def _figures(outcome: DetectionOutcome) -> list[tuple[str, float | None, float | None]]:
    """Returns (what, of boxes, of masks)."""
    names = {
        "ap": "AP: mean over overlaps of 0.50, 0.55, ... 0.95",
        "ap50": "AP50: an overlap of 0.50 is enough",
        "ap75": "AP75: an overlap of 0.75 is needed",
        "small": "AP of small objects, less than 32 x 32 pixels",
        "medium": "AP of medium objects, up to 96 x 96 pixels",
        "large": "AP of large objects",
        "recall": "recall, mean over the same overlaps, at most 100 detections an image",
    }
    return [(text, _of(outcome.boxes, name), _of(outcome.masks, name)) for name, text in names.items()]


def _of(found: AveragePrecision | None, name: str) -> float | None:
    return None if found is None else getattr(found, name)
