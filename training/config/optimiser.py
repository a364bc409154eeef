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
    warmup_steps: CountOrZero = 0
    """Steps of a linear warm-up that starts at warmup_lr."""
    warmup_lr: Annotated[float, Between(0)] = 0.0
    """Learning rate at the start of the warm-up."""
    schedule: Literal["cosine", "milestones", "constant"] = "cosine"
    """After the warm-up: half a cosine down to 0, times gamma at each milestone, or constant."""
    milestones: tuple[float, ...] = ()
    """Shares of the run, between 0 and 1 and rising, at which the rate changes."""
    gamma: Annotated[float, Between(0, above=True)] = 0.1
    """Factor of the rate at each milestone."""
    weight_decay: Annotated[float, Between(0)] = 1e-4
    """Weight decay."""
    decay_all: bool = True
    """Decay biases, norms and position embeddings too."""
    clip: Annotated[float, Between(0, above=True)] | None = None
    """Largest norm of the gradient; a larger gradient is scaled down to it. By default none is."""
