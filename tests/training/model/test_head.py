"""Tests the last layer's precision."""

import pytest
import timm
import torch

from tagmill.training.model.head import compute_head_in_float32


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "resnetv2_50x1_bit"])
def test_the_head_computes_in_float32_and_keeps_its_weights(name: str) -> None:
    torch.manual_seed(1)
    plain = timm.create_model(name, num_classes=3)
    names, shapes = zip(*[(key, value.shape) for key, value in plain.state_dict().items()], strict=True)
    head = plain.get_classifier()
    assert compute_head_in_float32(plain) is plain.get_classifier() and plain.get_classifier() is not head
    assert [(key, value.shape) for key, value in plain.state_dict().items()] == list(zip(names, shapes, strict=True))
    assert plain.get_classifier().weight is head.weight
    size = 160 if name == "test_vit" else 64
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert plain(torch.randn(2, 3, size, size)).dtype == torch.float32
