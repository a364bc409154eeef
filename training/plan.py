"""What a run will do, computed before it does it."""

import math
from dataclasses import dataclass

from tagmill.pipeline import Loader
from tagmill.training.config.train import TrainConfig
from tagmill.training.step.schedule import schedule_in_words, schedule_warnings


@dataclass(frozen=True)
class Plan:
    """The length of a run, and what is said of it."""

    steps: int
    steps_per_epoch: int
    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def plan_of(config: TrainConfig, loader: Loader, weights: int, labels: int, device: str) -> Plan:
    """Plans a run. `weights`: numbers in the model."""
    per_epoch = loader.batches_per_epoch
    ends = (config.steps, (loader.config.epochs or 0) * per_epoch, (config.images or 0) / config.batch_size)
    steps = math.ceil(min(end for end in ends if end))
    parts = f" in {config.accumulation} parts" if config.accumulation > 1 else ""
    images = f"{loader.local_batch_size} images of a step each{parts}, {config.size} pixels"
    lines = (
        f"model      {config.model}, {weights:,} weights, {labels:,} labels",
        f"corpus     {config.corpus}, view {config.view}, {loader.samples_per_epoch:,} samples an epoch",
        f"length     {steps:,} steps of {config.batch_size:,} images, {steps / per_epoch:,.2f} epochs",
        f"rate       {schedule_in_words(config)}",
        f"processes  {loader.world.size} on {device}, {images}",
        f"memory     {loader.memory() / (1 << 30):.2f} GiB of the loader, a process",
    )
    return Plan(steps, per_epoch, lines, tuple(_warnings(config, loader, steps)))


def _warnings(config: TrainConfig, loader: Loader, steps: int) -> list[str]:
    found = list[str]()
    if config.batch_size > loader.samples_per_epoch:
        found.append(f"a step of {config.batch_size:,} images is more than an epoch has ({loader.samples_per_epoch:,})")
    return found + schedule_warnings(config, steps, loader.batches_per_epoch)
