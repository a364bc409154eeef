"""Tests the last layer's precision, the check of sizes, and batch statistics."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tagmill.shards import ConfigError
from tagmill.training.config import TrainConfig
from tagmill.training.losses import SIGMOID_BIAS
from tagmill.training.models import (
    build_model,
    check_model,
    compute_head_in_float32,
    frozen_statistics,
    has_batch_statistics,
    weights_are_finite,
)
from tests.training.runs import VIT


def test_an_unknown_model_raises_an_error_with_similar_names() -> None:
    with pytest.raises(ConfigError, match=r"resnet5000.*resnet50"):
        build_model(TrainConfig(model="resnet5000"), 3)


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "resnetv2_50x1_bit"])
def test_the_head_computes_in_float32_and_keeps_its_weights(name: str) -> None:
    torch.manual_seed(1)
    import timm

    plain = timm.create_model(name, num_classes=3)
    names, shapes = zip(*[(key, value.shape) for key, value in plain.state_dict().items()], strict=True)
    head = plain.get_classifier()
    assert compute_head_in_float32(plain) is plain.get_classifier() and plain.get_classifier() is not head
    assert [(key, value.shape) for key, value in plain.state_dict().items()] == list(zip(names, shapes, strict=True))
    assert plain.get_classifier().weight is head.weight
    size = 160 if name == "test_vit" else 64
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert plain(torch.randn(2, 3, size, size)).dtype == torch.float32


def test_sigmoids_begin_with_a_low_bias() -> None:
    head = build_model(replace(VIT, loss="sigmoid"), 4).get_classifier()  # type: ignore[operator]
    assert set(head.bias.tolist()) == {SIGMOID_BIAS}


def test_a_model_built_for_one_size_is_refused_before_the_run() -> None:
    before, one_size = torch.get_rng_state(), {"img_size": 32, "dynamic_img_size": False}
    for sizes in ({"size": "16-32:16"}, {"size": "16-32:16@1"}, {"evaluation_size": 16}, {"size": 16}):
        with pytest.raises(ConfigError, match=r"test_vit takes no images of 16 pixels.*dynamic_img_size"):
            check_model(replace(VIT, **sizes, model_args=one_size))  # type: ignore[arg-type]
        check_model(replace(VIT, **sizes))  # type: ignore[arg-type]
        check_model(replace(VIT, **sizes, model="test_resnet", model_args={}))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no images of 40 pixels"):  # between sizes that fit
        check_model(replace(VIT, size="32-48:8", model_args={}))
    with pytest.raises(ConfigError, match="vit_base_patch16_224 takes no images of 31 pixels"):
        check_model(TrainConfig(model="vit_base_patch16_224", size=31))
    check_model(VIT)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_that_looks_at_its_numbers_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Looking(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images * images.sum().item()

    monkeypatch.setattr("tagmill.training.models.build_model", lambda *_: Looking())
    check_model(VIT)


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
