"""Images and targets for torchvision's detectors, by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tagmill.transfer.detection.coco_set import CocoSet, ImageFacts, open_coco
from tagmill.transfer.detection.targets import evaluation_target, flipped, image_tensor, training_target
from tests.transfer.detection.coco_files import picture, write_set


@pytest.fixture
def coco(tmp_path: Path) -> CocoSet:
    return open_coco(*write_set(tmp_path), masks=True)


def test_a_training_target_has_boxes_labels_and_masks_without_crowds(coco: CocoSet) -> None:
    found = training_target(coco.images[0], masks=True)
    assert found["boxes"].tolist() == [[4.5, 6.0, 14.5, 14.0]] and found["boxes"].dtype == torch.float32
    assert found["labels"].tolist() == [1] and found["labels"].dtype == torch.int64
    assert found["masks"].shape == (1, 30, 40) and found["masks"].dtype == torch.uint8
    assert found["masks"][0, 6:14, 5:14].all() and found["masks"].sum() <= 10 * 8


def test_an_evaluation_target_has_crowds_and_areas(coco: CocoSet) -> None:
    found = evaluation_target(coco.images[0], masks=True)
    assert found["labels"].tolist() == [1, 2] and found["iscrowd"].tolist() == [0, 1]
    assert found["area"].tolist() == [77.5, 12.0] and found["masks"][1].sum() == 12


def test_an_image_without_objects_has_empty_tensors(coco: CocoSet) -> None:
    found = training_target(coco.images[1], masks=True)
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "boxes": (0, 4),
        "labels": (0,),
        "masks": (0, 20, 20),
    }
    assert "masks" not in training_target(coco.images[1], masks=False)


def test_mirroring_moves_pixels_boxes_and_masks_together(coco: CocoSet) -> None:
    image = torch.arange(3 * 30 * 40).reshape(3, 30, 40)
    target = training_target(coco.images[0], masks=True)
    seen, mirrored = flipped(image, target)
    assert mirrored["boxes"].tolist() == [[25.5, 6.0, 35.5, 14.0]]
    assert (seen[:, :, 0] == image[:, :, 39]).all() and (mirrored["masks"][0, :, 39] == target["masks"][0, :, 0]).all()
    again, back = flipped(seen, mirrored)
    assert (again == image).all() and all((back[name] == target[name]).all() for name in target)


def test_pixels_are_those_of_the_image(coco: CocoSet) -> None:
    found = image_tensor(coco.stored.read([0])[0], coco.images[0])
    assert isinstance(found, torch.Tensor) and found.shape == (3, 30, 40) and found.dtype == torch.uint8
    with Image.open(Path(coco.stored.where, "a.png")) as image:
        wanted = np.asarray(image).astype(int)
    assert np.abs(found.permute(1, 2, 0).numpy() - wanted).mean() < 4  # a JPEG of quality 95 is between them


def test_what_cannot_be_used_has_a_reason() -> None:
    facts = ImageFacts(40, 30, ())
    turned = Image.Exif()
    turned[0x0112] = 6
    assert image_tensor(None, facts) == "missing or too large"
    assert image_tensor(picture(40, 31), facts) == "another size than the annotations say"
    assert (
        image_tensor(picture(40, 30, "JPEG", exif=turned.tobytes()), facts) == "another size than the annotations say"
    )
    for data in (b"GIF", picture(40, 30)[:60]):
        assert isinstance(image_tensor(data, facts), str)
