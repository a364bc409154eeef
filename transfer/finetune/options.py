"""Options of fine-tuning."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tagmill.shards.settings.ranges import Between, Count
from tagmill.transfer.finetune.hyper_rule import RuleSource

RecipeName = Literal["bit", "yalniz", "swag"]


@dataclass(frozen=True, kw_only=True)
class FineTuneOptions:
    """How a network is fine-tuned."""

    recipe: RecipeName = "bit"
    """bit: BiT-HyperRule. yalniz: 30 epochs with three drops. swag: the same at SWAG's resolutions."""
    rule: RuleSource = "code"
    """Numbers of BiT-HyperRule where the released code and the paper differ."""
    scale: Annotated[float, Between(0, above=True)] = 1.0
    """Factor of the number of steps; the published schedules are 1."""
    size: Count | None = None
    """Pixels of a side in training and test; by default what the recipe says."""
    batch_size: Count | None = None
    """Images of a step; by default what the recipe says."""
    lr: Annotated[float, Between(0, above=True)] | None = None
    """Learning rate at its peak; by default what the recipe says."""
    crop: bool = True
    """Crop training images at random. BiT leaves it out for some tasks of VTAB whose labels depend on places."""
    flip: bool = True
    """Flip half of the training images. BiT leaves it out for some tasks of VTAB whose labels depend on directions."""
    accumulation: Count = 1
    """Parts in which the images of a step are computed, where they do not fit into memory at once."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the forward pass; the last layer and the loss are always computed in float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the network."""
    threads: Count | None = None
    """Threads that decode images; by default the cores of this process."""
    checkpoint_every: Count = 100
    """Steps between two checkpoints, from which the same command continues."""
    seed: int = 0
    """Seed of the last layer, of the order of images and of their crops."""
