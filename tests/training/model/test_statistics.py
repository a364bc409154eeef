"""Tests batch statistics."""

import torch
from torch import nn

from tagmill.training.model.statistics import frozen_statistics, has_batch_statistics


def test_frozen_statistics_do_not_change() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    assert has_batch_statistics(model) and not has_batch_statistics(model[0])
    before = model[1].running_mean.clone()
    with frozen_statistics(model):
        model(torch.randn(4, 3, 2, 2))
    assert torch.equal(model[1].running_mean, before) and model[1].training
    model(torch.randn(4, 3, 2, 2))
    assert not torch.equal(model[1].running_mean, before)
