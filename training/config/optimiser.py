"""The optimiser of a run and its schedule."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tagmill.shards.settings.ranges import Between, Count, CountOrZero

BelowOne = Annotated[float, Between(0, 1)]  # and not 1, which TrainConfig checks


@dataclass(frozen=True, kw_only=True)
class OptimiserOptions:
    """The optimiser and its schedule."""

    optimiser: Literal["sgd", "nesterov", "adamw"] = "nesterov"
    """SGD, SGD with Nesterov momentum, or AdamW."""
    momentum: BelowOne = 0.9
    """Momentum of SGD, or the first beta of AdamW; below 1."""
    beta2: BelowOne = 0.999
    """Second beta of AdamW; below 1."""
    lr: Annotated[float, Between(0, above=True)] = 0.1
    """Learning rate at its peak."""
    lr_batch_size: Count | None = None
    """Batch size that lr is for, scaled linearly; by default lr is not scaled."""
    warmup_images: CountOrZero | None = None
    """Images of a linear warm-up that starts at warmup_lr; by default as many as warmup_steps says."""
    warmup_steps: CountOrZero = 0
    """Steps of the warm-up, instead of warmup_images."""
    warmup_lr: Annotated[float, Between(0)] = 0.0
    """Learning rate at the start of the warm-up."""
    schedule: Literal["cosine", "linear", "halvings", "milestones", "constant"] = "cosine"
    """After the warm-up: half a cosine or a line down to final_lr, halved at equal distances, times gamma at each milestone,
    or constant."""
    final_lr: Annotated[float, Between(0)] = 0.0
    """Learning rate at the end of a cosine or a line."""
    halvings: Count | None = None
    """Halvings of the rate, which divide the run after the warm-up into equal parts."""
    milestones: tuple[float, ...] = ()
    """Positions in the run, rising and above 0, at which the rate changes."""
    milestone_unit: Literal["share", "epochs", "images"] = "share"
    """Unit of milestones: shares of the run between 0 and 1, epochs or images."""
    gamma: Annotated[float, Between(0, above=True)] = 0.1
    """Factor of the rate at each milestone."""
    weight_decay: Annotated[float, Between(0)] = 1e-4
    """Weight decay."""
    decay_all: bool = True
    """Decay biases, norms and position embeddings too."""
    clip: Annotated[float, Between(0, above=True)] | None = None
    """Largest norm of the gradient; a larger gradient is scaled down to it. By default none is."""
    ema: Count | None = None
    """Half-life, in images, of an exponential moving average of the weights, which is evaluated too; by default none."""
