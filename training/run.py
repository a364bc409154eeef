"""The parts of a run, on one of its processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from tagmill.pipeline import Loader, LoaderConfig, World
from tagmill.training.config.train import TrainConfig
from tagmill.training.model.ema import WeightAverage
from tagmill.training.model.statistics import has_batch_statistics
from tagmill.training.parallel.progress import Progress


class Order(Protocol):
    """Where a run is in its images, as its checkpoints keep it: a loader, or another order of images."""

    @property
    def config(self) -> LoaderConfig: ...

    @property
    def batches_per_epoch(self) -> int: ...

    def state_dict(self) -> dict[str, object]:
        """Returns the place after the last batch: epoch, turn, manifest and view, as JSON has them."""

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continues from a place."""


@dataclass
class StepRun:
    """What the steps and the checkpoints of a run share and change."""

    config: TrainConfig
    world: World
    device: str
    loader: Order
    model: nn.Module
    forward: nn.Module  # what is called in a step: the model, or with DDP a wrapper of it
    ema: WeightAverage | None  # the average of the weights; its `module` has their names
    optimiser: torch.optim.Optimizer
    steps: int
    steps_per_epoch: int  # of the first epoch; a later one may have one step more or less
    label_weights: torch.Tensor | None  # [L]
    progress: Progress = field(default_factory=Progress)
    mean: tuple[float, float, float] = LoaderConfig.mean  # of the images, in units of 0..255
    std: tuple[float, float, float] = LoaderConfig.std
    step: int = 0  # steps that are done
    images: int = 0  # images that were taken, holes among them
    unlogged: list[tuple[dict[str, object], torch.Tensor]] = field(default_factory=list)
    """Of each step since the last log: the loader's state before it, and [loss, images, holes, gradient norm], float64 on the
    device, so that the host does not wait for it."""

    normalised: bool = field(init=False)
    """Whether the network normalises over the images of a batch."""

    def __post_init__(self) -> None:
        self.normalised = has_batch_statistics(self.model)

    @property
    def several(self) -> bool:
        return self.world.size > 1

    @property
    def filler_size(self) -> int | None:
        """Images of a forward pass that a process makes only because others make one: FSDP gathers weights in it, and batch
        normalisation over all GPUs gathers statistics, to which no image adds nothing. None where passes are independent."""
        if not self.several:
            return None
        return 0 if self.config.sync_batch_norm else 1 if self.config.parallel == "fsdp" else None


@dataclass
class Run(StepRun):
    """A run on a corpus."""

    loader: Loader
