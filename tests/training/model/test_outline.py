"""Tests that an outline is the network but for its numbers, and that nothing is done to fill it."""

from collections.abc import Sequence
from typing import Any

import pytest
import timm
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tagmill.training.model.outline import FILLING, outlined


class Noted(TorchDispatchMode):
    """Notes the operations that reach a device."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_convnext", "test_efficientnet", "test_mambaout"])
def test_an_outline_is_the_network_without_numbers(name: str) -> None:
    built = timm.create_model(name, num_classes=5)
    with Noted() as noted, outlined():
        outline = timm.create_model(name, num_classes=5)
    facts = [
        [
            (each, value.shape, value.dtype, value.requires_grad)
            for each, value in model.state_dict(keep_vars=True).items()
        ]
        for model in (built, outline)
    ]
    assert facts[0] == facts[1] and all(value.is_meta for value in outline.state_dict().values())
    assert "empty" in noted.names and not noted.names & FILLING
    with outlined():
        assert outline.eval()(torch.empty(2, 3, 160, 160)).shape == (2, 5)


def test_outside_of_it_networks_have_their_numbers() -> None:
    torch.manual_seed(1)
    before = timm.create_model("test_vit", num_classes=5).state_dict()
    with outlined():
        timm.create_model("test_vit", num_classes=5)
    torch.manual_seed(1)
    after = timm.create_model("test_vit", num_classes=5).state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
