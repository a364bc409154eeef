"""Activation checkpointing: blocks keep their inputs only and are computed again in the backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from tagmill.shards import ConfigError


def recompute_blocks(model: nn.Module, name: str) -> None:
    """Turns timm's activation checkpointing on. Raises ConfigError for a network without it; `name` is timm's."""
    try:
        model.set_grad_checkpointing(True)  # type: ignore[operator]
    except (AttributeError, AssertionError) as error:
        what = f"activation_checkpointing with {name}, for which timm does not have it"
        raise ConfigError(what, "train", "leave it out, or give more --accumulation") from error


@contextmanager
def statistics_counted_once(model: nn.Module) -> Iterator[None]:
    """Around a backward pass: batch normalisation that is computed again does not count the same images a second time."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [(module.momentum, module.num_batches_tracked) for module in norms]
    counts = [None if count is None else count.clone() for _, count in before]
    try:
        for module in norms:
            module.momentum = 0.0
        yield
    finally:
        for module, (momentum, count), was in zip(norms, before, counts, strict=True):
            module.momentum = momentum
            if count is not None and was is not None:
                count.copy_(was)
