"""The optimiser of a run."""

import torch
from torch import nn

from tagmill.training.config.train import TrainConfig


def build_optimiser(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Builds the optimiser with two groups of weights, with and without decay; every step sets the learning rate."""
    own: set[str] = getattr(model, "no_weight_decay", set)()
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, value in model.named_parameters():
        groups[not config.decay_all and (value.ndim <= 1 or name in own)].append(value)
    decayed = [{"params": groups[0], "weight_decay": config.weight_decay}, {"params": groups[1], "weight_decay": 0.0}]
    if config.optimiser == "adamw":
        return torch.optim.AdamW(decayed, config.lr, (config.momentum, config.beta2))
    nesterov = config.optimiser == "nesterov" and config.momentum > 0
    return torch.optim.SGD(decayed, config.lr, config.momentum, nesterov=nesterov)


def gradient_norm(model: nn.Module, clip: float | None) -> torch.Tensor:
    """Returns the norm of the gradient, float32 on its device, before it is scaled down to `clip`."""
    if clip is not None:
        return nn.utils.clip_grad_norm_(model.parameters(), clip)
    return nn.utils.get_total_norm([value.grad for value in model.parameters() if value.grad is not None])
