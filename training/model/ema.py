"""An exponential moving average of the weights."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import AveragedModel


class WeightAverage(AveragedModel):
    """A copy of a network whose weights follow those of the network in training: after step t they are
    d x average(t - 1) + (1 - d) x weights(t), and the weights themselves after the first step.

    `d` is 2^-(images of a step / half-life): a step's share is halved after `half_life` images. The images of a step are its
    nominal size, as for the loss, so that the average depends neither on processes and parts nor on holes. The statistics of
    batch normalisation are averaged in the same way; integer buffers are copied.
    """

    def __init__(self, model: nn.Module, half_life: int, images_of_a_step: int) -> None:
        super().__init__(model, multi_avg_fn=self._mix, use_buffers=True)
        # 1 - d, exact where d is nearly 1
        self._share = -math.expm1(-math.log(2) * images_of_a_step / half_life)
        self.requires_grad_(False).eval()

    def follow(self, model: nn.Module, step: int) -> None:
        """Adds the weights after a step to the average; `step`: the number of steps before it."""
        self.n_averaged.fill_(step)  # with 0 the weights are copied
        self.update_parameters(model)

    def _mix(
        self, averages: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], count: torch.Tensor | int
    ) -> None:
        ours, theirs = [local(each) for each in averages], [local(each) for each in weights]
        if ours[0].is_floating_point():
            torch._foreach_lerp_(ours, theirs, self._share)
        else:
            torch._foreach_copy_(ours, theirs)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """Returns this process's part of a tensor that is divided among processes, in the same memory; others as they are."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
