"""Errors of a detector: matched as pycocotools matches, counted, and kept of a bounded number of images."""

import contextlib
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tagmill.transfer.detection.box_errors import MOST_BOXES, BoxErrors, ClassMatches, matched
from tagmill.transfer.detection.targets import Target


def target(boxes: list[list[float]], labels: list[int], crowd: list[int] | None = None) -> Target:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "iscrowd": torch.tensor(crowd or [0] * len(labels), dtype=torch.int64),
    }


def found(boxes: list[list[float]], labels: list[int], scores: list[float]) -> Target:
    return {**target(boxes, labels), "scores": torch.tensor(scores)}


SQUARE, OTHER = [0.0, 0, 10, 10], [20.0, 20, 30, 30]


@pytest.mark.parametrize(
    ("detections", "expected"),
    [
        (([SQUARE], [1], [0.9]), ClassMatches(2, 1, 0)),
        (([SQUARE, SQUARE], [1, 1], [0.9, 0.8]), ClassMatches(2, 1, 1)),  # an object is found once
        (([[0, 0, 10, 5]], [1], [0.9]), ClassMatches(2, 1, 0)),  # an overlap of exactly a half is enough
        (([[0, 0, 10, 4.9]], [1], [0.9]), ClassMatches(2, 0, 1)),
        (([SQUARE], [1], [0.49]), ClassMatches(2, 0, 0)),
        (([SQUARE], [2], [0.9]), ClassMatches(2, 0, 0)),  # wrong, and of the other class
        (([[0, 50, 10, 60]], [1], [0.9]), ClassMatches(2, 0, 0)),  # in the crowd
        (([], [], []), ClassMatches(2, 0, 0)),
    ],
)
def test_counts_by_hand(detections: tuple[list[list[float]], list[int], list[float]], expected: ClassMatches) -> None:
    errors = BoxErrors(2, 0)
    errors.add("a", found(*detections), target([SQUARE, OTHER, [0.0, 40, 50, 90]], [1, 1, 1], [0, 0, 1]))
    assert errors.matches()[0] == expected
    assert errors.matches()[1] == ClassMatches(0, 0, sum(label == 2 for label in detections[1]))


def cocos(boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, mine: np.ndarray, own: np.ndarray) -> list[int]:
    """Matched objects of each of two classes by pycocotools at an overlap of 0.5; the last object is a crowd."""
    rows = [
        {"id": n + 1, "image_id": 1, "category_id": int(own[n]), "iscrowd": int(n == len(mine) - 1), "area": 9.0}
        | {"bbox": [*map(float, mine[n, :2]), *map(float, mine[n, 2:] - mine[n, :2])]}
        for n in range(len(mine))
    ]
    results = [
        {"image_id": 1, "category_id": int(labels[n]), "score": float(scores[n])}
        | {"bbox": [*map(float, boxes[n, :2]), *map(float, boxes[n, 2:] - boxes[n, :2])]}
        for n in range(len(boxes))
    ]
    truth = COCO()
    with contextlib.redirect_stdout(io.StringIO()):
        truth.dataset = {"images": [{"id": 1}], "annotations": rows, "categories": [{"id": 1}, {"id": 2}]}
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.params.iouThrs, judge.params.areaRng = np.array([0.5]), [[0, 1e9]]
        judge.evaluate()
    wrong = [0, 0]
    for each in judge.evalImgs:
        if each is not None:
            free = (each["dtMatches"][0] == 0) & ~each["dtIgnore"][0].astype(bool)
            wrong[each["category_id"] - 1] = int(free.sum())
    return wrong


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12), objects=st.integers(1, 8))
@settings(max_examples=60)
def test_wrong_detections_are_those_of_pycocotools(seed: int, count: int, objects: int) -> None:
    rng = np.random.default_rng(seed)
    mine = np.sort(rng.random((objects, 2, 2)) * 20, axis=1).reshape(-1, 4)
    own = rng.integers(1, 3, objects)
    boxes = mine[rng.integers(0, objects, count)] + rng.normal(0, 0.7, (count, 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 0.1)
    labels, scores = rng.integers(1, 3, count), rng.random(count)
    crowd = np.arange(objects) == objects - 1
    taken, wrong = matched(boxes, labels.astype(float), scores, mine, own.astype(float), crowd)
    assert [int((wrong & (labels == label)).sum()) for label in (1, 2)] == cocos(boxes, labels, scores, mine, own)
    assert not (taken & crowd).any()


def test_images_with_errors_are_kept_by_a_hash_in_any_order() -> None:
    kept = []
    for order in (range(20), reversed(range(20))):
        errors = BoxErrors(2, 3)
        for number in order:
            nothing = found([], [], []) if number % 2 else found([SQUARE], [1], [0.9])
            errors.add(f"{number}.jpg", nothing, target([SQUARE], [1]))
        kept.append(errors.images())
    assert kept[0] == kept[1] and len(kept[0]) == 3
    assert all(int(each.key.partition(".")[0]) % 2 for each in kept[0]), "without errors there is nothing to show"


def test_of_an_image_the_largest_and_surest_errors_are_kept() -> None:
    errors, many = BoxErrors(1, 1), MOST_BOXES + 5
    sides = [[100.0 * n, 0, 100 * n + 1 + n, 1 + n] for n in range(10)]
    wrong = [[100.0 * n, 500, 100 * n + 5, 505] for n in range(many - 10)]
    scores = [0.5 + 0.01 * n for n in range(many - 10)]
    errors.add("a", found(wrong, [1] * len(wrong), scores), target(sides, [1] * 10))
    (image,) = errors.images()
    assert len(image.errors) == MOST_BOXES and image.more == 5
    assert [each.box[3] for each in image.errors[:10]] == [float(n) for n in range(10, 0, -1)]
    assert image.errors[10].score == pytest.approx(scores[-1]) and image.errors[10].label == 0
