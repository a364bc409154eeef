"""The length of a run, its learning rates and its memory, and what is unusual about them."""

import math
from dataclasses import dataclass

from torch import nn

from tagmill.pipeline import Loader
from tagmill.training.config.train import TrainConfig
from tagmill.training.metrics.held_out import has_held_out
from tagmill.training.model.statistics import has_batch_statistics
from tagmill.training.plan.memory import GIB, DeviceMemory, device_memory, memory_of
from tagmill.training.step.schedule import learning_rate, schedule_in_words, schedule_warnings

MOST_OF_FIRST = 0.05  # share of the first step's weights in their average at the end


@dataclass(frozen=True)
class Plan:
    """The length of a run, and what is said of it."""

    steps: int
    steps_per_epoch: int
    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def plan_of(config: TrainConfig, loader: Loader, model: nn.Module, labels: int, device: str) -> Plan:
    """Plans a run. `model` may be on the meta device; `labels`: its outputs."""
    per_epoch = loader.batches_per_epoch
    ends = (config.steps, (loader.config.epochs or 0) * per_epoch, (config.images or 0) / config.batch_size)
    steps = math.ceil(min(end for end in ends if end))
    parts = f" in {config.accumulation} parts" if config.accumulation > 1 else ""
    images = f"{loader.local_batch_size} images of a step each{parts}, {config.size} pixels"
    numbers = sum(each.numel() for each in model.parameters())
    needed = device_memory(
        config, model, loader.world.size, loader.local_batch_size, loader.config.largest_size, labels
    )
    lines = (
        f"model      {config.model}, {numbers:,} weights, {labels:,} labels",
        f"corpus     {config.corpus}, view {config.view}, {loader.samples_per_epoch:,} samples an epoch",
        f"length     {steps:,} steps of {config.batch_size:,} images, {steps / per_epoch:,.2f} epochs",
        f"rate       {schedule_in_words(config)}",
        f"           {rates(config, steps, per_epoch)}",
        f"processes  {loader.world.size} on {device}, {images}",
        f"memory     {loader.memory() / GIB:.2f} GiB of the loader, a process",
        f"device     {needed.in_words()}",
    )
    return Plan(steps, per_epoch, lines, tuple(_warnings(config, loader, model, steps, needed, memory_of(device))))


def rates(config: TrainConfig, steps: int, steps_per_epoch: int) -> str:
    """Returns the learning rate at a few points of the run: its start, the end of the warm-up, each quarter of the rest."""
    start = min(math.ceil(config.images_of_warmup / config.batch_size), steps - 1)
    points = {0, *(start + (steps - 1 - start) * quarter // 4 for quarter in range(5))}
    said = (
        f"{learning_rate(config, step, steps, steps_per_epoch):.3g} at {step * config.batch_size:,}"
        for step in sorted(points)
    )
    return f"{', '.join(said)} images"


def _warnings(
    config: TrainConfig, loader: Loader, model: nn.Module, steps: int, needed: DeviceMemory, there: int | None
) -> list[str]:
    found = list[str]()
    if config.batch_size > loader.samples_per_epoch:
        found.append(f"a step of {config.batch_size:,} images is more than an epoch has ({loader.samples_per_epoch:,})")
    part = loader.local_batch_size / config.accumulation
    if part < 2 and has_batch_statistics(model):
        found.append(
            f"batch normalisation needs 2 images at a time: {loader.local_batch_size} a process make "
            f"{loader.local_batch_size // 2} parts, not {config.accumulation}"
        )
    if there is not None and needed.total > there:
        found.append(
            f"weights, optimiser and logits alone take {needed.total / GIB:.1f} GiB of a device's {there / GIB:.1f}: "
            "give --parallel fsdp, more parts (--accumulation) or a smaller model"
        )
    if config.images_of_warmup and config.warmup_lr > config.peak_lr:
        found.append(
            f"the warm-up begins at a rate of {config.warmup_lr:g}, above its end, {config.peak_lr:g}: "
            "give a lower --warmup-lr (unlike --lr it is not scaled with the batch size)"
        )
    first = 2 ** -(steps * config.batch_size / config.ema) if config.ema else 0
    if first > MOST_OF_FIRST:
        found.append(
            f"at the end {first:.0%} of the average of the weights are still those of the first step: "
            f"give a half-life (--ema) far below the run's {steps * config.batch_size:,} images"
        )
    if config.loss == "softmax" and len(loader.vocabulary or ()) == 1:
        found.append("the view has one label, which softmax gives every image whatever it shows: see --loss sigmoid")
    if not has_held_out(loader):
        found.append("no held-out images with labels, so the model will not be judged (ingest with --holdout N)")
    return found + schedule_warnings(config, steps, loader.batches_per_epoch)
