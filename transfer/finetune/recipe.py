"""What fine-tuning does with a training set: the published recipes as numbers."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from tagmill.pipeline import EVAL_SHARE
from tagmill.shards import ConfigError
from tagmill.transfer.finetune.hyper_rule import hyper_rule
from tagmill.transfer.finetune.options import FineTuneOptions
from tagmill.transfer.finetune.staircase import Staircase, scaled

EPOCHS = 30
SWAG_SIZES = {"vit_huge_patch14": 518, "vit_large_patch16": 512}
"""Pixels of a side by the beginning of timm's name; RegNetY and ViT-B/16 have 384."""
SWAG_SIZE = 384
LARGEST_OF_BIT = "resnetv2_152x4"
LONGEST = 1_000_000_000  # steps


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is fine-tuned: SGD with momentum 0.9 on a softmax loss."""

    name: str
    schedule: Staircase
    batch_size: int
    weight_decay: float
    size: int  # pixels of a side, in training and test
    squeezed: bool  # images are resized to a square and cropped at random; else a random resized crop
    crop_share: float  # of squeezed images: side of the crop to that of the resized image
    test_share: float | None  # side of the centre crop to the short side; None: the whole image becomes the square
    cropped: bool
    flipped: bool
    mixup: float  # alpha; one share for a batch
    zero_head: bool  # the last layer begins with zeros
    scale: float

    def settings(self) -> dict[str, Any]:
        """Returns the recipe as JSON has it."""
        return {**asdict(self), "schedule": {**asdict(self.schedule), "drops": list(self.schedule.drops)}}


def recipe_of(options: FineTuneOptions, network: str, images: int, height: int, width: int) -> Recipe:
    """Returns the recipe for a network (its name in timm) and a training set of `images` of `height` x `width` pixels. Raises
    ConfigError for a scale that leaves no step."""
    found = (
        _bit(options, network, images, height, width) if options.recipe == "bit" else _epochs(options, network, images)
    )
    size, batch_size = options.size or found.size, options.batch_size or found.batch_size
    schedule = found.schedule if options.lr is None else replace(found.schedule, peak=options.lr)
    return replace(
        found, size=size, batch_size=batch_size, schedule=schedule, cropped=options.crop, flipped=options.flip
    )


def _bit(options: FineTuneOptions, network: str, images: int, height: int, width: int) -> Recipe:
    largest = network.startswith(LARGEST_OF_BIT)
    rule = hyper_rule(images, height, width, options.rule, largest_network=largest, scale=options.scale)
    return Recipe(
        name="bit",
        schedule=rule.schedule,
        batch_size=rule.batch_size,
        weight_decay=0.0,
        size=rule.crop,
        squeezed=True,
        crop_share=rule.crop / rule.resize,
        test_share=None,
        cropped=True,
        flipped=True,
        mixup=rule.mixup,
        zero_head=True,
        scale=options.scale,
    )


def _epochs(options: FineTuneOptions, network: str, images: int) -> Recipe:
    """30 epochs at 0.00025 for 256 images, times 0.1 three times at equal distances, as Yalniz et al. 2019 fine-tune (known
    from notes on the paper). The same is likely for Mahajan et al. 2018. Of SWAG only the resolutions and the images of the
    test are known; its schedule is not, so that `swag` has this one."""
    batch_size = options.batch_size or 1536
    steps = scaled(math.ceil(EPOCHS * images / batch_size), options.scale)
    if not 0 < steps <= LONGEST:
        raise ConfigError(f"scale = {options.scale}", f"recipe {options.recipe}", "give a factor that leaves a step")
    swag = options.recipe == "swag"
    large = next((side for name, side in SWAG_SIZES.items() if network.startswith(name)), SWAG_SIZE)
    drops = tuple(math.ceil(steps * quarter / 4) for quarter in (1, 2, 3))
    return Recipe(
        name=options.recipe,
        schedule=Staircase(steps, 0.00025 / 256 * batch_size, 0, drops),
        batch_size=batch_size,
        weight_decay=1e-4,
        size=large if swag else 224,
        squeezed=False,
        crop_share=1.0,
        test_share=1.0 if swag else EVAL_SHARE,
        cropped=True,
        flipped=True,
        mixup=0.0,
        zero_head=False,
        scale=options.scale,
    )
