"""Tests how a network is divided, and in what precision its parts are gathered."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from tagmill.training.model.build import build_model
from tagmill.training.parallel.wrap import distributed, is_linear
from tests.training.runs import VIT


def gathered_types(model: nn.Module, images: torch.Tensor) -> dict[str, torch.dtype]:
    """Returns the precision of each weight while its module computes."""
    found = dict[str, torch.dtype]()

    def note(name: str, module: nn.Module) -> None:
        found.update({f"{name}.{key}": value.dtype for key, value in module.named_parameters(recurse=False)})

    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_pre_hook(lambda module, _, name=name: note(name, module))
    with torch.autocast("cpu", torch.bfloat16):
        model(images).sum().backward()
    return found


@pytest.mark.usefixtures("group")
def test_attention_and_mlp_are_gathered_in_bfloat16_and_all_else_in_float32() -> None:
    config = replace(VIT, parallel="fsdp", precision="bf16", ema=100)
    model = build_model(config, 5)
    names = list(model.state_dict())
    forward, average = distributed(config, model.to(memory_format=torch.channels_last), 2)
    assert forward is model and list(model.state_dict()) == names
    assert average is not None and list(average.module.state_dict()) == names
    for divided in (model, average.module):
        assert all(isinstance(value, DTensor) and value.dtype == torch.float32 for value in divided.parameters())
    types = gathered_types(model, torch.randn(2, 3, 32, 32))
    low = {name for name, kind in types.items() if kind == torch.bfloat16}
    assert low == {name for name in types if ".attn." in name or ".mlp." in name} and len(low) == 6 * 8
    assert all(value.grad is not None and value.grad.dtype == torch.float32 for value in model.parameters())
    # An evaluation leaves nothing of the average gathered, where the next step would be lost.
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        average.module(torch.randn(2, 3, 32, 32))
    assert all(isinstance(value, DTensor) for value in average.module.parameters())


@pytest.mark.usefixtures("group")
def test_ddp_wraps_the_network_and_one_process_nothing() -> None:
    model = build_model(VIT, 5)
    forward, average = distributed(VIT, model, 2)
    assert isinstance(forward, DistributedDataParallel) and forward.module is model and average is None
    for parallel in ("ddp", "fsdp"):
        assert distributed(replace(VIT, parallel=parallel), model, 1) == (model, None)  # type: ignore[arg-type]


def test_synchronised_normalisation_takes_the_place_of_a_processes_own() -> None:
    config = replace(VIT, model="test_resnet", model_args={}, sync_batch_norm=True, ema=100)
    model = build_model(config, 5)
    weights = dict(model.named_parameters())
    _, average = distributed(config, model, 1)
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert norms and all(isinstance(module, nn.SyncBatchNorm) for module in norms)
    assert all(value is weights[name] for name, value in model.named_parameters())
    assert average is not None and average.module.state_dict().keys() == model.state_dict().keys()


def test_a_part_is_linear_if_all_its_matrices_are() -> None:
    assert is_linear(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    assert not is_linear(nn.LayerNorm(2)) and not is_linear(nn.ReLU())
    assert not is_linear(nn.Sequential(nn.Linear(2, 2), nn.Conv2d(1, 1, 1)))
