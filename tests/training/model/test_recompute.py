"""Tests that activation checkpointing changes neither gradients nor batch statistics."""

from dataclasses import replace

import pytest
import torch

from tagmill.shards import ConfigError
from tagmill.training.model.build import build_model, check_model
from tagmill.training.model.recompute import statistics_counted_once
from tests.training.runs import VIT


def test_blocks_are_computed_again_and_their_statistics_counted_once() -> None:
    results, images = [], torch.randn(4, 3, 32, 32)
    for again in (False, True):
        torch.manual_seed(0)
        config = replace(VIT, model="test_resnet", model_args={}, activation_checkpointing=again)
        model, calls = build_model(config, 5), list[int]()
        model.layer2[0].register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))  # type: ignore[index,union-attr]
        loss = model(images).square().sum()
        with statistics_counted_once(model):
            loss.backward()
        assert len(calls) == 1 + again
        results.append({name: value.grad for name, value in model.named_parameters()} | dict(model.named_buffers()))
    assert results[0].keys() == results[1].keys()
    assert all(torch.equal(value, results[1][name]) for name, value in results[0].items())


def test_a_network_without_it_is_refused_before_the_run() -> None:
    with pytest.raises(ConfigError, match="activation_checkpointing with vgg11, for which timm does not have it"):
        check_model(replace(VIT, model="vgg11", model_args={}, activation_checkpointing=True))
