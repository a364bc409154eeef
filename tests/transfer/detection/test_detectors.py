"""Detectors over a pyramid."""

from typing import get_args

import pytest
import timm
import torch

from tagmill.shards import ConfigError
from tagmill.training.trained.model import Trained, Transform
from tagmill.transfer.detection.detectors import ImageSides, Kind, Weight, build_detector, check_detector_images


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_learns_from_images_with_and_without_objects(kind: Kind) -> None:
    torch.manual_seed(0)
    transform = Transform(64, 1.0, (51.0, 102.0, 127.5), (25.5, 51.0, 102.0))
    trained = Trained("here", timm.create_model("test_resnet").state_dict(), "test_resnet", transform=transform)
    made = build_detector(kind, trained, trained.build(), 3, ImageSides(64, 96), "light")
    assert made.transform.image_mean == [0.2, 0.4, 0.5] and made.transform.image_std == [0.1, 0.2, 0.4]
    targets = [
        {
            "boxes": torch.tensor([[5.0, 5, 40, 40]]),
            "labels": torch.tensor([3]),
            "masks": torch.ones(1, 64, 80, dtype=torch.uint8),
        },
        {
            "boxes": torch.zeros(0, 4),
            "labels": torch.zeros(0, dtype=torch.int64),
            "masks": torch.zeros(0, 50, 60, dtype=torch.uint8),
        },
    ]
    losses = made.train()([torch.rand(3, 64, 80), torch.rand(3, 50, 60)], targets)
    assert ("loss_mask" in losses) == (kind == "mask-rcnn")
    total = sum(losses.values())
    assert torch.isfinite(total)
    total.backward()
    assert any(value.grad is not None for name, value in made.named_parameters() if "backbone.maps" in name)
    with torch.inference_mode():
        found = made.eval()([torch.rand(3, 64, 80)])[0]
    assert found["boxes"].shape[1] == 4 and set(found["labels"].tolist()) <= {1, 2, 3}
    assert made.transform.min_size == (64,) and made.transform.max_size == 96


@pytest.mark.parametrize("weight", get_args(Weight))
def test_proposals_with_the_side_of_a_levels_anchors_are_taken_from_the_next_finer_level(weight: Weight) -> None:
    """Every map is filled with its stride, so that what is pooled is the stride of the level that was taken."""
    trained = Trained("here", timm.create_model("test_resnet").state_dict(), "test_resnet", transform=Transform(64))
    made = build_detector("mask-rcnn", trained, trained.build(), 3, ImageSides(64, 96), weight)
    strides = made.backbone.strides
    anchors = [float(sizes[0]) for sizes in made.rpn.anchor_generator.sizes]
    side = int(anchors[3])
    maps = {str(k): torch.full((1, 1, side // each, side // each), float(each)) for k, each in enumerate(strides)}
    boxes = torch.tensor([[0.0, 0.0, each * 1.01, each * 0.999] for each in anchors[:4]])
    for pool in (made.roi_heads.box_roi_pool, made.roi_heads.mask_roi_pool):
        taken = pool(maps, [boxes], [(side, side)])
        assert taken.mean((1, 2, 3)).tolist() == pytest.approx([4, 4, 8, 16])


def test_sides_that_contradict_each_other_are_refused() -> None:
    check_detector_images(ImageSides(64, 64))
    with pytest.raises(ConfigError, match="a short side of 65"):
        check_detector_images(ImageSides(65, 64))
