"""Tests that only the last part of a step averages gradients."""

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from tagmill.training.parallel.synchronise import gradients_averaged


def passes(forward: nn.Module, images: list[torch.Tensor], weight: nn.Parameter) -> list[bool]:
    """Computes the parts of a step; returns after which of them the weight has its gradient."""
    found = []
    for number, part in enumerate(images):
        with gradients_averaged(forward, now=number == len(images) - 1):
            forward(part).sum().backward()
        found.append(weight.grad is not None)
    return found


@pytest.mark.usefixtures("group")
def test_the_last_part_averages_the_sum_of_all() -> None:
    images = [torch.randn(2, 3) for _ in range(3)]
    plain, replicated, sharded = (nn.Linear(3, 2, bias=False) for _ in range(3))
    wrapper = DistributedDataParallel(replicated)
    fully_shard(sharded)
    assert passes(plain, images, plain.weight) == [True] * 3
    passes(wrapper, images, replicated.weight)
    assert passes(sharded, images, sharded.weight) == [False, False, True]  # whole gradients are kept aside until then
    wanted = torch.cat(images).sum(0).expand(2, 3)
    assert torch.allclose(plain.weight.grad, wanted, atol=1e-5) and torch.allclose(
        replicated.weight.grad, wanted, atol=1e-5
    )  # type: ignore[arg-type]
    assert torch.allclose(sharded.weight.grad.full_tensor(), wanted, atol=1e-5)  # type: ignore[union-attr]
    assert passes(sharded, images[:1], sharded.weight) == [True]


@pytest.mark.usefixtures("group")
def test_ddp_sends_nothing_before() -> None:
    wrapper, sent = DistributedDataParallel(nn.Linear(3, 2)), list[int]()

    def hook(state: object, bucket: torch.distributed.GradBucket) -> torch.futures.Future[torch.Tensor]:
        sent.append(len(seen))
        done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    wrapper.register_comm_hook(None, hook)
    seen = list[int]()
    for number in range(3):
        seen.append(number)
        with gradients_averaged(wrapper, now=number == 2):
            wrapper(torch.randn(2, 3)).sum().backward()
    assert sent == [3]
