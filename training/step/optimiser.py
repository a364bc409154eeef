"""The optimiser of a run."""

from typing import Any

import torch
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.distributed.tensor import DTensor

from tagmill.training.config.train import TrainConfig

FUSED = frozenset({"cpu", "cuda"})
"""Devices on which torch updates weights in one pass over memory."""


def build_optimiser(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Builds the optimiser with two groups of weights, with and without decay; every step sets the learning rate.

    A state that is loaded is computed with as this machine does it, whatever the machine that saved it did.
    """
    spared = set[int]() if config.decay_all else _spared(model)
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for value in model.parameters():
        groups[id(value) in spared].append(value)
    decayed = [{"params": groups[0], "weight_decay": config.weight_decay}, {"params": groups[1], "weight_decay": 0.0}]
    fused = _fused(config, model) or None
    made: torch.optim.Optimizer
    if config.optimiser == "adamw":
        made = torch.optim.AdamW(decayed, config.lr, (config.momentum, config.beta2), fused=fused)
    else:
        nesterov = config.optimiser == "nesterov" and config.momentum > 0
        made = torch.optim.SGD(decayed, config.lr, config.momentum, nesterov=nesterov, fused=fused)

    def adopt(optimiser: torch.optim.Optimizer) -> None:
        for group in optimiser.param_groups:
            group |= {"fused": fused, "foreach": None}
        _adopt_state(optimiser)

    made.register_load_state_dict_post_hook(adopt)
    made.register_step_pre_hook(_prepare_step)
    return made


def gradient_norm(model: nn.Module, clip: float | None) -> torch.Tensor:
    """Returns the norm of the gradient, float32 on its device, before it is scaled down to `clip`. Weights that had no part in
    the loss have no gradient."""
    norm = nn.utils.get_total_norm([value.grad for value in model.parameters() if value.grad is not None])
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    if clip is not None:
        nn.utils.clip_grads_with_norm_(model.parameters(), clip, norm)
    return norm


def _fused(config: TrainConfig, model: nn.Module) -> bool:
    """Returns whether all weights are of a kind that the optimiser's fused kernel takes; torch has none for SGD of sharded
    ones."""
    weights = list(model.parameters())
    sharded = any(isinstance(value, DTensor) for value in weights)
    fits = all(value.device.type in FUSED and value.is_floating_point() for value in weights)
    return fits and not (sharded and config.optimiser != "adamw")


def _spared(model: nn.Module) -> set[int]:
    """The ids of the weights without decay by timm's rule: biases, vectors such as the scales of norms, and what the network
    names in no_weight_decay, position embeddings for example."""
    own: set[str] = getattr(model, "no_weight_decay", set)()
    groups = param_groups_weight_decay(model, 1.0, no_weight_decay_list=own)
    return {id(value) for group in groups if not group["weight_decay"] for value in group["params"]}


# A fused kernel takes weights, gradients and state as they are in memory. Where their orders differ, as where a state was saved
# with channels_last, one on the CPU would combine numbers of different places, and one on a GPU refuses.
def _adopt_state(optimiser: torch.optim.Optimizer) -> None:
    """Lays the state in memory as the weights are, and puts counts of steps where the update expects them."""
    for group in optimiser.param_groups:
        for weight in group["params"]:
            for name, value in optimiser.state.get(weight, {}).items():
                if name == "step" and torch.is_tensor(value):
                    optimiser.state[weight][name] = value.to(weight.device if group["fused"] else "cpu", torch.float32)
                elif torch.is_tensor(value) and value.shape == weight.shape:
                    optimiser.state[weight][name] = _laid_as(value, weight)


def _prepare_step(optimiser: torch.optim.Optimizer, *_: Any) -> None:
    """Lays gradients in memory as the weights are. Autograd does so; this is for those that something else has put in their
    place. And gives weights that have a gradient for the first time a momentum of zero: torch's fused SGD makes none for
    weights that come later than others."""
    for group in optimiser.param_groups:
        with_momentum = bool(group["fused"] and group.get("momentum"))
        for weight in group["params"]:
            if weight.grad is None:
                continue
            if weight.grad.stride() != weight.stride():
                weight.grad = _laid_as(weight.grad, weight)
            if with_momentum and optimiser.state[weight].get("momentum_buffer") is None:
                optimiser.state[weight]["momentum_buffer"] = torch.zeros_like(weight, requires_grad=False)


def _laid_as(value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A copy of the value with the strides of a weight."""
    return torch.empty_like(weight, dtype=value.dtype, requires_grad=False).copy_(value)
