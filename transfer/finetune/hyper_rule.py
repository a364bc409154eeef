"""BiT-HyperRule (Kolesnikov et al. 2019): how a network is fine-tuned, as a function of the training set alone.

Numbers are those of the released code (google-research/big_transfer, bit_hyperrule.py and bit_pytorch/train.py). The paper
differs in two: the rate of a small set falls at 30, 60 and 90 % of the steps, in the code at 40, 60 and 80 %, and large images
are resized to 448 pixels and cropped to 384 for all networks but R152x4. The warm-up is known from the code alone, and both
have it.
"""

from dataclasses import dataclass
from typing import Literal

from tagmill.shards import ConfigError
from tagmill.transfer.finetune.staircase import Staircase, scaled

BATCH_SIZE = 512
PEAK = 0.003
MOMENTUM = 0.9
SMALL, MEDIUM = 20_000, 500_000  # images: smaller sets have the shorter schedules
SMALL_AREA = 96 * 96  # pixels of an image of the set
RuleSource = Literal["code", "paper"]


@dataclass(frozen=True)
class HyperRule:
    """What the rule says. The optimiser is SGD with momentum 0.9 and without weight decay, and the last layer begins with
    zeros."""

    schedule: Staircase
    batch_size: int
    resize: int  # pixels of the square to which a training image is resized
    crop: int  # pixels of the random crop of it; test images are resized to this square
    mixup: float  # alpha; one share for a batch


def hyper_rule(
    images: int,
    height: int,
    width: int,
    source: RuleSource = "code",
    *,
    largest_network: bool = False,
    scale: float = 1.0,
) -> HyperRule:
    """Returns the rule for a training set of so many `images` of `height` x `width` pixels. `largest_network`: it is R152x4,
    which has larger images in the paper. `scale` is a factor of all steps; 1 is the published rule. Raises ConfigError for no
    images, and for a scale that is not above 0 or leaves no step."""
    if images < 1 or height < 1 or width < 1:
        what = f"{images:,} training images of {height} x {width} pixels"
        raise ConfigError(what, "BiT-HyperRule", "give a set with images")
    if images < SMALL:
        steps, warmup, last = 500, 100, (200, 300, 400) if source == "code" else (150, 300, 450)
    elif images < MEDIUM:
        steps, warmup, last = 10_000, 500, (3_000, 6_000, 9_000)
    else:
        steps, warmup, last = 20_000, 500, (6_000, 12_000, 18_000)
    if not scale > 0 or not scaled(steps, scale):
        raise ConfigError(f"scale = {scale}", "BiT-HyperRule", f"give a factor that leaves a step of {steps:,}")
    if height * width < SMALL_AREA:
        resize, crop = 160, 128
    else:
        resize, crop = (448, 384) if source == "paper" and not largest_network else (512, 480)
    # The code lowers the rate after the step with the number of the milestone, and not at it.
    drops = tuple(scaled(each, scale) + 1 for each in last)
    schedule = Staircase(scaled(steps, scale), PEAK, scaled(warmup, scale), drops)
    return HyperRule(schedule, BATCH_SIZE, resize, crop, 0.0 if images < SMALL else 0.1)
