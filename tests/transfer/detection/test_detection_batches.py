"""Which image at which step."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from tagmill.transfer.detection.coco_set import CocoSet, open_coco
from tagmill.transfer.detection.detection_batches import batches_in_order, training_batches
from tests.transfer.detection.coco_files import annotation, content, picture, write_set

COUNT = 5


@pytest.fixture
def data(tmp_path: Path) -> CocoSet:
    rows = [{"id": n, "file_name": f"{n}.png", "width": 40, "height": 30} for n in range(COUNT)]
    boxes = [annotation(n, [n, 2, 10, 10], image_id=n) for n in range(COUNT)]
    file, images = write_set(tmp_path, content(images=rows, annotations=boxes))
    for n in range(COUNT - 1):  # the last one is missing
        Path(images, f"{n}.png").write_bytes(picture(40, 30))
    return open_coco(file, images, masks=False)


def test_every_epoch_has_every_image_once_and_what_is_missing_is_named(data: CocoSet) -> None:
    batches = list(training_batches(data, 2, 7, 0, 6))
    for epoch in (batches[:3], batches[3:]):
        assert Counter(place for each in epoch for place in each.places) == Counter(range(COUNT - 1))
        assert {key: why for each in epoch for key, why in each.skipped.items()} == {"4.png": "missing or too large"}
    orders = [[place for each in epoch for place in each.places] for epoch in (batches[:3], batches[3:])]
    assert orders[0] != orders[1]


def test_a_step_is_the_same_wherever_a_run_begins(data: CocoSet) -> None:
    whole = list(training_batches(data, 2, 7, 0, 6))
    for first in (1, 4):
        for ours, wanted in zip(training_batches(data, 2, 7, first, 6), whole[first:], strict=True):
            assert ours.places == wanted.places and ours.skipped == wanted.skipped
            assert all(torch.equal(one, other) for one, other in zip(ours.images, wanted.images, strict=True))
            assert all(
                torch.equal(one["boxes"], other["boxes"])
                for one, other in zip(ours.targets, wanted.targets, strict=True)
            )


def test_images_are_mirrored_in_some_steps_and_not_in_others(data: CocoSet) -> None:
    lefts = {
        float(target["boxes"][0, 0]) - place
        for each in training_batches(data, 2, 7, 0, 12)
        for place, target in zip(each.places, each.targets, strict=True)
    }
    assert 0.0 in lefts and len(lefts) > 1


def test_evaluation_is_in_order_and_may_end_early(data: CocoSet) -> None:
    assert [each.places for each in batches_in_order(data, 2)] == [(0, 1), (2, 3), ()]
    assert [each.places for each in batches_in_order(data, 2, 3)] == [(0, 1), (2,)]
    first = next(iter(batches_in_order(data, 2)))
    assert first.images[0].dtype == torch.float32 and first.images[0].min() >= 0 and first.images[0].max() <= 1
