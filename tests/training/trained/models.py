"""Small trained models for the tests of this folder: random weights, no training."""

from typing import Any

import timm
import torch
from torch import nn

from tagmill.training.trained.labels import ModelLabel
from tagmill.training.trained.model import Trained, Transform

LABELS = (
    ModelLabel("bear", ("n02131653",), ("bear",)),
    ModelLabel("crane", ("n02012849",), ("crane",)),
    ModelLabel("crane", ("n03126707",), ("crane", "derrick")),
    ModelLabel("oak", ("n12268246",), ("oak", "oak_tree")),
)


def trained(network: str = "test_vit", size: int = 32, **arguments: Any) -> Trained:
    """Returns a network of timm with random weights everywhere, biases and statistics among them."""
    torch.manual_seed(7)
    model: nn.Module = timm.create_model(network, num_classes=len(LABELS), **arguments)
    weights = {name: randomised(value) for name, value in model.state_dict().items()}
    return Trained("memory", weights, network, arguments, LABELS, "softmax", Transform(size))


def randomised(value: torch.Tensor) -> torch.Tensor:
    """Returns a tensor with every number changed a little; variances stay positive."""
    return value + (torch.rand(value.shape) - 0.5) / 20 if value.is_floating_point() else value.clone()
