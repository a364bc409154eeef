"""Tests batch statistics and the check for finite weights."""

import pytest
import torch
from torch import nn

from tagmill.training.model.statistics import frozen_statistics, has_batch_statistics, weights_are_finite


def test_frozen_statistics_do_not_change() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    assert has_batch_statistics(model) and not has_batch_statistics(model[0])
    before = model[1].running_mean.clone()
    with frozen_statistics(model):
        model(torch.randn(4, 3, 2, 2))
    assert torch.equal(model[1].running_mean, before) and model[1].training
    model(torch.randn(4, 3, 2, 2))
    assert not torch.equal(model[1].running_mean, before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_or_buffer_that_is_not_finite_is_found(value: float) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    assert weights_are_finite(model)
    for tensor in (model[0].weight.data, model[1].running_var):
        old = tensor.clone()
        tensor.view(-1)[-1] = value
        assert not weights_are_finite(model)
        tensor.copy_(old)
