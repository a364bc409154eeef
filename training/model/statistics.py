"""Batch normalisation."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn


def has_batch_statistics(model: nn.Module) -> bool:
    """Returns whether the network normalises over the images of a batch."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Within it, batch normalisation uses its running statistics and does not change them."""
    norms = [
        module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
    ]
    with ExitStack() as stack:
        for module in norms:
            module.eval()
            stack.callback(module.train)
        yield
