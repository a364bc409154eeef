"""Detectors: torchvision's Faster and Mask R-CNN and RetinaNet over a pyramid."""

from dataclasses import dataclass
from typing import Literal

from torch import nn
from torchvision.models.detection import FasterRCNN, MaskRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from tagmill.shards import ConfigError
from tagmill.training.trained.model import Trained, Transform
from tagmill.transfer.detection.pyramid import PyramidBackbone, pyramid_backbone

Kind = Literal["faster-rcnn", "mask-rcnn", "retinanet"]
Weight = Literal["standard", "light"]


@dataclass(frozen=True)
class DetectorShape:
    """Sizes of a detector's own layers."""

    channels: int  # of each level of the pyramid
    head: int  # width of the two layers for boxes
    mask_channels: int
    before: int  # proposals of a level before non-maximum suppression, in training; half of them in evaluation
    after: int  # proposals of an image after it
    sampled: int  # proposals of an image that the loss takes
    anchor: int  # side of the anchors, in strides of their level


SHAPES: dict[Weight, DetectorShape] = {
    "standard": DetectorShape(256, 1024, 256, before=2000, after=2000, sampled=512, anchor=8),
    "light": DetectorShape(64, 256, 64, before=100, after=50, sampled=32, anchor=4),
}


@dataclass(frozen=True)
class ImageSides:
    """To what size images are scaled: the short side, unless the long one became longer than its limit; in pixels."""

    short: int
    long: int


def build_detector(
    kind: Kind, trained: Trained, network: nn.Module, classes: int, sides: ImageSides, weight: Weight
) -> nn.Module:
    """Builds a detector over a network that has the weights of `trained`; its own layers are new, from torch's generator.

    It takes images float32 [3, height, width] in 0..1, and normalises them as `trained` wants. Label 0 is the background.
    Raises ConfigError for a network without the maps that it needs.
    """
    shape, retina = SHAPES[weight], kind == "retinanet"
    pyramid = pyramid_backbone(trained, network, shape.channels, from_stride=8 if retina else 4, two_more=retina)
    transform = trained.transform or Transform()
    images = {
        "min_size": sides.short,
        "max_size": sides.long,
        "image_mean": [value / 255 for value in transform.mean],
        "image_std": [value / 255 for value in transform.std],
    }
    if retina:
        made: nn.Module = RetinaNet(
            pyramid, classes + 1, anchor_generator=_anchors(pyramid, shape, octaves=3), detections_per_img=100, **images
        )
        return made
    rest = {
        "rpn_anchor_generator": _anchors(pyramid, shape, octaves=1),
        "rpn_pre_nms_top_n_train": shape.before,
        "rpn_pre_nms_top_n_test": shape.before // 2,
        "rpn_post_nms_top_n_train": shape.after,
        "rpn_post_nms_top_n_test": shape.after // 2,
        "box_batch_size_per_image": shape.sampled,
        "box_roi_pool": _pool(shape, 7),
        "box_head": TwoMLPHead(shape.channels * 7 * 7, shape.head),
        "box_predictor": FastRCNNPredictor(shape.head, classes + 1),
        **images,
    }
    if kind == "faster-rcnn":
        return FasterRCNN(pyramid, **rest)  # type: ignore[no-any-return]
    return MaskRCNN(  # type: ignore[no-any-return]
        pyramid,
        mask_roi_pool=_pool(shape, 14),
        mask_head=MaskRCNNHeads(shape.channels, (shape.mask_channels,) * 4, 1),
        mask_predictor=MaskRCNNPredictor(shape.mask_channels, shape.mask_channels, classes + 1),
        **rest,
    )


def _pool(shape: DetectorShape, size: int) -> MultiScaleRoIAlign:
    """Returns the pooling of proposals to `size` x `size` cells. A proposal with the side of a level's anchors is taken from
    the next finer level, as in FPN, whose scale of 224 pixels belongs to anchors of 8 strides."""
    return MultiScaleRoIAlign([str(place) for place in range(4)], size, 2, canonical_scale=28 * shape.anchor)


def _anchors(pyramid: PyramidBackbone, shape: DetectorShape, octaves: int) -> AnchorGenerator:
    sizes = [
        tuple(int(shape.anchor * stride * 2 ** (part / octaves)) for part in range(octaves))
        for stride in pyramid.strides
    ]
    return AnchorGenerator(tuple(sizes), ((0.5, 1.0, 2.0),) * len(sizes))


def check_detector_images(sides: ImageSides) -> None:
    """Raises ConfigError for sides that no image can have."""
    if sides.short > sides.long:
        what = f"a short side of {sides.short} pixels and a long one of {sides.long}"
        raise ConfigError(what, "transfer", "give a long side that is not less")
