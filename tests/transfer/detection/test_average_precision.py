"""Average precision, beside pycocotools' own evaluation."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tagmill.transfer.detection.average_precision import average_precision
from tagmill.transfer.detection.coco_set import CocoSet, open_coco
from tagmill.transfer.detection.targets import Target, evaluation_target, training_target
from tests.transfer.detection.coco_files import annotation, content, write_set

BOXES = [[2, 2, 10, 9], [15, 3, 12, 12], [3, 15, 8, 10], [25, 18, 14, 11]]


def boxes_as_polygons(box: list[int]) -> list[list[int]]:
    x, y, w, h = box
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


@pytest.fixture
def coco(tmp_path: Path) -> tuple[CocoSet, str]:
    rows = [
        annotation(n, box, category_id=(3, 18)[n % 2], segmentation=boxes_as_polygons(box), area=box[2] * box[3])
        for n, box in enumerate(BOXES, 1)
    ]
    rows.append(annotation(9, [14, 20, 10, 9], iscrowd=1, area=90, segmentation=boxes_as_polygons([14, 20, 10, 9])))
    file, images = write_set(tmp_path, content(annotations=rows))
    return open_coco(file, images, masks=True), file


def as_detections(target: Target, scores: torch.Tensor | None = None) -> Target:
    return {**target, "scores": torch.ones(len(target["boxes"])) if scores is None else scores}


def test_ground_truth_as_detections_is_perfect(coco: tuple[CocoSet, str]) -> None:
    """Crowds are no detections, and an empty image is no fault."""
    pairs = [
        ([as_detections(training_target(facts, masks=True))], [evaluation_target(facts, masks=True)])
        for facts in coco[0].images
    ]
    found = average_precision(pairs, 2, masks=True)
    for each in found.values():
        assert (each.ap, each.ap50, each.ap75, each.recall) == (1.0, 1.0, 1.0, 1.0)
        assert each.per_class == (1.0, 1.0) and each.large is None and each.small == 1.0


def test_figures_are_those_of_pycocotools(coco: tuple[CocoSet, str]) -> None:
    data, file = coco
    target = training_target(data.images[0], masks=False)
    rng = np.random.default_rng(1)
    boxes = target["boxes"].repeat(3, 1) + torch.from_numpy(rng.normal(0, 1.2, (12, 4))).float()
    boxes = torch.cat([boxes, torch.tensor([[15.0, 21, 23, 28]])])  # on the crowd
    found = {
        "boxes": boxes,
        "labels": torch.cat([target["labels"].repeat(3), torch.tensor([1])]),
        "scores": torch.from_numpy(rng.random(13)).float(),
    }
    ours = average_precision([([found], [evaluation_target(data.images[0], masks=False)])], 2, masks=False)["boxes"]
    rows = [
        {
            "image_id": 7,
            "category_id": (3, 18)[label - 1],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": score,
        }
        for (x0, y0, x1, y1), label, score in zip(boxes.tolist(), found["labels"].tolist(), found["scores"].tolist())
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(file)
        theirs = COCOeval(truth, truth.loadRes(json.loads(json.dumps(rows))), "bbox")
        theirs.params.imgIds = [7]
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    assert 0.1 < theirs.stats[0] < 0.9
    assert [ours.ap, ours.ap50, ours.ap75, ours.small] == pytest.approx(theirs.stats[[0, 1, 2, 3]].tolist(), abs=1e-6)
    assert ours.recall == pytest.approx(theirs.stats[8], abs=1e-6)


def test_a_detection_on_a_crowd_is_ignored_and_another_is_wrong(coco: tuple[CocoSet, str]) -> None:
    facts = coco[0].images[0]
    target = training_target(facts, masks=False)

    def ap(extra: list[float]) -> float | None:
        boxes = torch.cat([torch.tensor([extra]), target["boxes"]])
        scores = torch.tensor([1.0] + [0.5] * len(target["boxes"]))
        found = {"boxes": boxes, "labels": torch.cat([torch.tensor([1]), target["labels"]]), "scores": scores}
        return average_precision([([found], [evaluation_target(facts, masks=False)])], 2, masks=False)["boxes"].ap

    assert ap([15.0, 21, 23, 28]) == 1.0
    wrong = ap([30.0, 1, 38, 9])
    assert wrong is not None and wrong < 0.9


def test_without_detections_or_without_objects(coco: tuple[CocoSet, str]) -> None:
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    found = average_precision([([nothing], [evaluation_target(coco[0].images[0], masks=False)])], 3, masks=False)
    assert found["boxes"].ap == 0 and found["boxes"].per_class == (0.0, 0.0, None)
    empty = average_precision([([nothing], [evaluation_target(coco[0].images[1], masks=False)])], 2, masks=False)
    assert empty["boxes"].ap is None and empty["boxes"].per_class == (None, None)
