"""Tests which parts of a network are its blocks."""

from itertools import pairwise

import pytest
import timm
import torch
from torch import nn

from tagmill.training.parallel.blocks import blocks_of


@pytest.mark.parametrize(
    ("name", "kind", "count", "share"),
    [
        ("vit_base_patch16_224", "Block", 12, 0.97),
        ("resnet50", "Bottleneck", 13, 0.9),  # without the three of the first stage
        ("resnext101_32x8d", "Bottleneck", 30, 0.95),
        ("regnety_160", "Bottleneck", 16, 0.95),
        ("resnetv2_50x1_bit", "PreActBottleneck", 13, 0.9),
        ("test_vit", "Block", 6, 0.6),
    ],
)
def test_blocks_are_what_a_network_repeats(name: str, kind: str, count: int, share: float) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    blocks = blocks_of(model)
    assert [type(block).__name__ for block in blocks] == [kind] * count
    inner = [{id(value) for value in block.parameters()} for block in blocks]
    assert all(one.isdisjoint(other) for one, other in pairwise(inner))
    within = sum(value.numel() for block in blocks for value in block.parameters())
    assert within > share * sum(value.numel() for value in model.parameters())
    order = [id(module) for module in model.modules()]
    assert [id(block) for block in blocks] == sorted(map(id, blocks), key=order.index)


def test_a_network_that_repeats_nothing_has_none() -> None:
    assert blocks_of(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4, 2))) == []
    assert blocks_of(nn.Linear(2, 2)) == []
