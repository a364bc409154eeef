"""Tests building a network and the check of sizes."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from tagmill.shards import ConfigError
from tagmill.training.config.train import TrainConfig
from tagmill.training.model.build import build_model, check_model
from tests.training.runs import VIT


def test_an_unknown_model_raises_an_error_with_similar_names() -> None:
    with pytest.raises(ConfigError, match=r"resnet5000.*resnet50"):
        build_model(TrainConfig(model="resnet5000"), 3)


@pytest.mark.parametrize(
    ("values", "bias"),
    [
        ({"loss": "sigmoid"}, -10),
        ({"loss": "sigmoid", "head_bias": 0.0}, 0),
        ({"head_bias": -2.5}, -2.5),
        ({}, 0),  # as timm has it in this network
    ],
)
def test_the_last_layer_begins_with_its_bias(values: dict[str, Any], bias: float) -> None:
    """BiT's sigmoids begin at -10, and CatLIP's at 0."""
    head = build_model(replace(VIT, **values), 4).get_classifier()  # type: ignore[operator]
    assert set(head.bias.tolist()) == {bias}


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

    monkeypatch.setattr("tagmill.training.model.build.build_model", lambda *_: Looking())
    monkeypatch.setattr("tagmill.training.model.build._TAKEN", set())
    check_model(VIT)


def test_sizes_that_an_addition_in_place_does_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Adding(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.clone().add_(torch.empty(48))

    monkeypatch.setattr("tagmill.training.model.build.build_model", lambda *_: Adding())
    monkeypatch.setattr("tagmill.training.model.build._TAKEN", set())
    check_model(replace(VIT, size=48))
    with pytest.raises(ConfigError, match="no images of 32 pixels"):
        check_model(replace(VIT, size=32))


def test_a_size_is_tried_once_for_each_network(monkeypatch: pytest.MonkeyPatch) -> None:
    built, usual = list[TrainConfig](), build_model

    def building(config: TrainConfig, labels: int) -> nn.Module:
        built.append(config)
        return usual(config, labels)

    monkeypatch.setattr("tagmill.training.model.build.build_model", building)
    monkeypatch.setattr("tagmill.training.model.build._TAKEN", set())
    for _ in range(2):
        check_model(VIT)
        check_model(replace(VIT, size=48, model_args={"img_size": 48}))
        with pytest.raises(ConfigError, match="no images of 16 pixels"):
            check_model(replace(VIT, size=16, model_args={"img_size": 48, "dynamic_img_size": False}))
    assert [config.size for config in built] == [32, 48, 16, 16]
