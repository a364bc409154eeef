"""Images and their boxes as torchvision's detectors take them."""

from typing import Any

import numpy as np
import torch
from PIL import Image

from tagmill.ingest.images.prepare import decoded_image, opened_image, prepare
from tagmill.ingest.images.rejected import Rejected
from tagmill.transfer.detection.coco_set import ImageFacts
from tagmill.transfer.detection.run_length import mask_of
from tagmill.transfer.sets.set_image_policy import IMAGE_POLICY

Target = dict[str, torch.Tensor]


def image_tensor(data: bytes | None, facts: ImageFacts) -> torch.Tensor | str:
    """Decodes an image of any format of the web: uint8 [3, height, width], or the reason why there is none. An image that
    is turned by its EXIF orientation, or otherwise has another size than the file of annotations says, is left out: its
    boxes would be of other places."""
    if data is None:
        return "missing or too large"
    made = prepare(data, IMAGE_POLICY)
    if isinstance(made, Rejected):
        return str(made.reason).replace("_", " ")
    if (made.width, made.height) != (facts.width, facts.height):
        return "another size than the annotations say"
    source = opened_image(made.jpeg)
    with source.image:
        pixels: Image.Image = decoded_image(source, source.image.size)[0].convert("RGB")
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).contiguous()


def training_target(facts: ImageFacts, *, masks: bool) -> Target:
    """Returns what a detector learns of an image: `boxes` float32 [n, 4] (left, top, right, bottom), `labels` int64 [n],
    places in the classes plus 1 (0 is the background), and with `masks` also `masks` uint8 [n, height, width]. Crowds
    are left out."""
    found = _target(facts, masks=masks)
    single = found["iscrowd"] == 0
    return {name: found[name][single] for name in ("boxes", "labels", "masks") if name in found}


def evaluation_target(facts: ImageFacts, *, masks: bool) -> Target:
    """Returns what detections are compared with: `boxes`, `labels` and `masks` as in training, crowds too, with `iscrowd`
    int64 [n] and `area` float32 [n]."""
    return _target(facts, masks=masks)


def flipped(image: torch.Tensor, target: Target) -> tuple[torch.Tensor, Target]:
    """Mirrors an image [3, height, width] and its target left to right."""
    width = image.shape[-1]
    left, top, right, low = target["boxes"].unbind(1)
    made: dict[str, Any] = {**target, "boxes": torch.stack([width - right, top, width - left, low], 1)}
    if "masks" in target:
        made["masks"] = target["masks"].flip(-1)
    return image.flip(-1), made


def _target(facts: ImageFacts, *, masks: bool) -> Target:
    rows = facts.instances
    found = {
        "boxes": torch.tensor([each.box for each in rows], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([each.label + 1 for each in rows], dtype=torch.int64),
        "iscrowd": torch.tensor([int(each.crowd) for each in rows], dtype=torch.int64),
        "area": torch.tensor([each.area for each in rows], dtype=torch.float32),
    }
    if masks:
        layers = [mask_of(each.runs or b"", facts.height, facts.width) for each in rows]
        empty = np.zeros((0, facts.height, facts.width), dtype=np.uint8)
        found["masks"] = torch.from_numpy(np.stack(layers) if layers else empty)
    return found
