"""Tests the groups of weights and the norm of the gradient."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tagmill.training.model.build import build_model
from tagmill.training.step.optimiser import build_optimiser, gradient_norm
from tests.training.runs import VIT


def test_decay_spares_biases_norms_and_position_embeddings() -> None:
    model = build_model(VIT, 5)
    groups = build_optimiser(replace(VIT, decay_all=False), model).param_groups
    names = {id(value): name for name, value in model.named_parameters()}
    decayed = {names[id(value)] for value in groups[0]["params"]}
    assert "head.weight" in decayed and not {"head.bias", "norm.weight", "pos_embed", "cls_token"} & decayed
    assert (groups[0]["weight_decay"], groups[1]["weight_decay"]) == (VIT.weight_decay, 0)
    everything = build_optimiser(VIT, model).param_groups
    assert len(everything[0]["params"]) == len(names) and not everything[1]["params"]


def test_a_gradient_is_scaled_down_to_its_limit_and_not_up() -> None:
    model = nn.Linear(3, 2)
    for clip, after in ((None, 5.0), (1.0, 1.0), (9.0, 5.0)):
        model.weight.grad, model.bias.grad = torch.zeros(2, 3), torch.tensor([3.0, 4.0])
        assert gradient_norm(model, clip).item() == pytest.approx(5.0)
        assert model.bias.grad.norm().item() == pytest.approx(after, rel=1e-5)


def test_nesterov_without_momentum_is_plain_descent() -> None:
    assert not build_optimiser(replace(VIT, momentum=0.0), nn.Linear(2, 2)).defaults["nesterov"]
