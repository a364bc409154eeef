"""The memory of a device that a run needs, from numbers alone."""

import math
from dataclasses import astuple, dataclass, fields

import torch
from torch import nn

from tagmill.training.config.train import TrainConfig

GIB = 1 << 30


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes that a process needs on its device during a step. Activations are not among them: they depend on the network and
    on the compiler, and are often the largest part."""

    weights: int  # and their copies in bfloat16, which autocast keeps for a step
    gradients: int  # and the buckets in which DDP sends them
    optimiser: int
    images: int
    logits: int  # float32, and their gradient

    @property
    def total(self) -> int:
        return sum(astuple(self))

    def in_words(self) -> str:
        """Returns the sum and its parts."""
        parts = ", ".join(f"{each.name} {getattr(self, each.name) / GIB:.2f}" for each in fields(self))
        return f"{self.total / GIB:.2f} GiB a process ({parts}), and activations"


def device_memory(
    config: TrainConfig, model: nn.Module, processes: int, images: int, side: int, labels: int
) -> DeviceMemory:
    """Estimates the memory of one of `processes` with `images` of `side` pixels a step. The model may be on the meta device."""
    numbers = sum(each.numel() for each in model.parameters())
    part = math.ceil(images / config.accumulation)
    half = config.precision == "bf16"
    moments = 2 if config.optimiser == "adamw" else int(config.momentum > 0)
    return DeviceMemory(
        weights=numbers * (6 if half else 4),
        gradients=numbers * 4 * (2 if processes > 1 else 1),
        optimiser=numbers * 4 * moments,
        images=3 * side**2 * (images + part * (2 if half else 4)),
        logits=part * labels * 8,
    )


def memory_of(device: str) -> int | None:
    """Returns the bytes of memory of a GPU; None for a CPU, whose memory other processes share."""
    return int(torch.cuda.get_device_properties(device).total_memory) if device.startswith("cuda") else None
