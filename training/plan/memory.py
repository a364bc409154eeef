"""The memory of a device that a run needs, from numbers alone."""

import math
from dataclasses import astuple, dataclass, fields

import torch
from torch import nn

from tagmill.training.config.train import TrainConfig
from tagmill.training.parallel.blocks import blocks_of

GIB = 1 << 30


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes that a process needs on its device during a step. Activations are not among them: they depend on the network and
    on the compiler, and are often the largest part."""

    weights: int  # and their copies in bfloat16, which autocast makes and the backward pass needs
    gradients: int
    optimiser: int
    average: int
    gathered: int  # what FSDP has whole at a time
    images: int
    logits: int  # float32, and their gradient

    @property
    def total(self) -> int:
        return sum(astuple(self))

    def in_words(self) -> str:
        """Returns the sum and its parts."""
        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        said = ", ".join(f"{name} {size / GIB:.2f}" for name, size in parts.items() if size)
        return f"{self.total / GIB:.2f} GiB a process ({said}), and activations"


def device_memory(
    config: TrainConfig, model: nn.Module, processes: int, images: int, side: int, labels: int
) -> DeviceMemory:
    """Estimates the memory of one of `processes` with `images` of `side` pixels a step. The model may be on the meta device.

    FSDP divides what belongs to weights. It gathers a block at a time, and the next one ahead of need; the rest of the network
    stays whole during a step. Linear layers are gathered in bfloat16; of convolutions autocast makes copies.
    """
    numbers = _numbers(model)
    sharded = config.parallel == "fsdp" and processes > 1
    share = math.ceil(numbers / processes) if sharded else numbers
    half = config.precision == "bf16"
    copied = sum(_numbers(each) for each in model.modules() if isinstance(each, nn.Conv2d)) if sharded else numbers
    moments = 2 if config.optimiser == "adamw" else int(config.momentum > 0)
    part = math.ceil(images / config.accumulation)
    return DeviceMemory(
        weights=share * 4 + (copied * 2 if half else 0),
        gradients=share * 4,
        optimiser=share * 4 * moments,
        average=share * 4 if config.ema else 0,
        gathered=_gathered(model) * 4 if sharded else 0,
        images=3 * side**2 * (images + part * (2 if half else 4)),
        logits=part * labels * 8,
    )


def memory_of(device: str) -> int | None:
    """Returns the bytes of memory of a GPU; None for a CPU, whose memory other processes share."""
    return int(torch.cuda.get_device_properties(device).total_memory) if device.startswith("cuda") else None


def _gathered(model: nn.Module) -> int:
    """Numbers that are whole at a time: the two largest blocks, the gradient of one, and what is in no block."""
    blocks = sorted((_numbers(each) for each in blocks_of(model)), reverse=True)
    return _numbers(model) - sum(blocks) + sum(blocks[:2]) + sum(blocks[:1])


def _numbers(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())
