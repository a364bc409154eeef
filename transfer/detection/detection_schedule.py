"""How long and how fast a detector learns."""

from dataclasses import dataclass

from tagmill.shards import ConfigError
from tagmill.transfer.detection.detectors import Kind


@dataclass(frozen=True)
class PublishedRecipe:
    """A published recipe for COCO."""

    epochs: int
    batch: int  # images of a step
    rate: float  # learning rate at this batch
    drops: tuple[int, ...]  # epochs after which the rate is a tenth
    source: str


RECIPES: dict[Kind, PublishedRecipe] = {
    "faster-rcnn": PublishedRecipe(26, 16, 0.02, (16, 22), "torchvision's reference training of Faster R-CNN"),
    "mask-rcnn": PublishedRecipe(26, 16, 0.02, (16, 22), "torchvision's reference training of Mask R-CNN"),
    "retinanet": PublishedRecipe(30, 256, 0.08, (16, 22), "BiT, 1912.11370, RetinaNet on COCO"),
}
"""RetinaNet's is the one of the paper. Of Mahajan et al. 2018 only the kind of the detector is known, Mask R-CNN with FPN, from
memory; their schedule is not verified, so that the other two are torchvision's."""

MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4  # of torchvision's reference training
WARMUP_START = 0.001  # share of the rate at the first step, likewise


@dataclass(frozen=True)
class DetectionSchedule:
    """The learning rate of every step."""

    steps_per_epoch: int
    epochs: int
    rate: float
    drops: tuple[int, ...]
    warmup_steps: int

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    def rate_of(self, step: int) -> float:
        """Returns the rate of a step, counted from 0: a tenth after each drop, and a line up to it in the warm-up."""
        now = self.rate * 0.1 ** sum(step >= drop * self.steps_per_epoch for drop in self.drops)
        share = min(1.0, WARMUP_START + (1 - WARMUP_START) * step / self.warmup_steps) if self.warmup_steps else 1.0
        return now * share


def detection_schedule(
    kind: Kind,
    images: int,
    batch: int,
    *,
    epochs: int | None = None,
    rate: float | None = None,
    warmup_steps: int = 1000,
) -> DetectionSchedule:
    """Returns the schedule of a run on so many images. Values that are None are taken from the published recipe: its rate
    in proportion to the batch, and its drops at the same shares of the epochs. The warm-up is at most the first epoch, as
    torchvision has it. Raises ConfigError for a run without a step."""
    recipe = RECIPES[kind]
    if images < 1:
        raise ConfigError("no images to train on", "transfer", "give a set with some")
    steps, whole = -(-images // batch), recipe.epochs if epochs is None else epochs
    drops = tuple(dict.fromkeys(max(1, round(whole * each / recipe.epochs)) for each in recipe.drops))
    return DetectionSchedule(
        steps,
        whole,
        recipe.rate * batch / recipe.batch if rate is None else rate,
        tuple(each for each in drops if each < whole),
        min(warmup_steps, steps),
    )
