"""When the processes of a run average their gradients."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def gradients_averaged(forward: nn.Module, *, now: bool) -> Iterator[None]:
    """Around a forward and backward pass: with `now` the gradients, with those of earlier passes, are averaged over the
    processes; otherwise each process adds its own up, and nothing is exchanged but the weights of FSDP."""
    if isinstance(forward, DistributedDataParallel) and not now:
        with forward.no_sync():
            yield
        return
    if isinstance(forward, FSDPModule):
        forward.set_requires_gradient_sync(now)
        forward.set_is_last_backward(now)
    yield
