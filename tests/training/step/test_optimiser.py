"""Tests the groups of weights, the update beside torch's plain one, resumption, and the norm of the gradient."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from tagmill.training.model.build import build_model
from tagmill.training.step.optimiser import build_optimiser, gradient_norm
from tests.training.runs import VIT

KINDS = {
    "sgd": replace(VIT, optimiser="sgd"),
    "nesterov": replace(VIT, weight_decay=0.01),
    "adamw": replace(VIT, optimiser="adamw", weight_decay=0.1, lr=0.01),
}


def network(order: torch.memory_format = torch.contiguous_format) -> nn.Module:
    """Builds a network whose weights differ in memory with the order of channels, of sizes that fill no vector register."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(5, 7, 3), nn.GroupNorm(1, 7), nn.Flatten(), nn.Linear(7, 3)).to(memory_format=order)  # type: ignore[call-overload,no-any-return]


def take(model: nn.Module, optimiser: torch.optim.Optimizer, steps: Iterable[int], aligned: bool = True) -> None:
    """Takes steps whose gradients are a function of their numbers; laid out as the weights are if `aligned`."""
    for step in steps:
        draw = torch.Generator().manual_seed(step)
        for weight in model.parameters():
            made = torch.randn(weight.shape, generator=draw)
            weight.grad = torch.empty_like(weight).copy_(made) if aligned else made
        optimiser.step()


def numbers(model: nn.Module) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in model.parameters()]


def compare(found: nn.Module, wanted: nn.Module) -> None:
    torch.testing.assert_close(numbers(found), numbers(wanted), rtol=1e-5, atol=1e-6)


def through_a_file(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    torch.save(optimiser.state_dict(), sink := io.BytesIO())
    sink.seek(0)
    return torch.load(sink, weights_only=True)  # type: ignore[no-any-return]


def test_decay_spares_biases_norms_and_position_embeddings() -> None:
    model = build_model(VIT, 5)
    groups = build_optimiser(replace(VIT, decay_all=False), model).param_groups
    names = {id(value): name for name, value in model.named_parameters()}
    decayed = {names[id(value)] for value in groups[0]["params"]}
    assert "head.weight" in decayed and not {"head.bias", "norm.weight", "pos_embed", "cls_token"} & decayed
    assert (groups[0]["weight_decay"], groups[1]["weight_decay"]) == (VIT.weight_decay, 0)
    everything = build_optimiser(VIT, model).param_groups
    assert len(everything[0]["params"]) == len(names) and not everything[1]["params"]


def test_decay_spares_what_a_network_names_wherever_it_is_in_it() -> None:
    model = network()
    model.no_weight_decay = lambda: {"3.*"}  # type: ignore[assignment]
    groups = build_optimiser(replace(VIT, decay_all=False), model).param_groups
    (kept,) = groups[0]["params"]
    assert kept is next(model.parameters()) and len(groups[1]["params"]) == 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_the_update_is_that_of_the_plain_optimiser(kind: str, order: torch.memory_format) -> None:
    config, model, other = KINDS[kind], network(order), network()
    plain: torch.optim.Optimizer
    if kind == "adamw":
        plain = torch.optim.AdamW(other.parameters(), 0.01, weight_decay=0.1, fused=False, foreach=False)
    else:
        decay = {"weight_decay": config.weight_decay, "fused": False, "foreach": False}
        plain = torch.optim.SGD(other.parameters(), config.lr, 0.9, nesterov=kind == "nesterov", **decay)
    optimiser = build_optimiser(config, model)
    assert all(group["fused"] for group in optimiser.param_groups)
    take(model, optimiser, range(6), aligned=False)
    take(other, plain, range(6))
    compare(model, other)
    assert not torch.allclose(next(model.parameters()), next(network().parameters()), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_state_continues_exactly(kind: str) -> None:
    model = network()
    optimiser = build_optimiser(KINDS[kind], model)
    take(model, optimiser, range(3))
    saved, weights = through_a_file(optimiser), {name: value.clone() for name, value in model.state_dict().items()}
    take(model, optimiser, range(3, 6))
    again = network()
    again.load_state_dict(weights)
    resumed = build_optimiser(KINDS[kind], again)
    resumed.load_state_dict(saved)
    take(again, resumed, range(3, 6))
    assert all(map(torch.equal, numbers(again), numbers(model)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fused", [True, False])
def test_a_state_continues_where_weights_are_laid_out_in_another_order(kind: str, fused: bool) -> None:
    """--channels-last may change at a resume, and so may the machine: a state that was not computed by a fused kernel."""
    orders = (torch.contiguous_format, torch.channels_last)
    for first, second in (orders, orders[::-1]):
        model, again = network(first), network(second)
        optimiser = build_optimiser(KINDS[kind], model)
        for group in optimiser.param_groups:
            group["fused"] = fused
        take(model, optimiser, range(3))
        again.load_state_dict(model.state_dict())
        resumed = build_optimiser(KINDS[kind], again)
        resumed.load_state_dict(through_a_file(optimiser))
        assert all(group["fused"] and group["foreach"] is None for group in resumed.param_groups)
        take(model, optimiser, range(3, 6))
        take(again, resumed, range(3, 6))
        compare(again, model)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_may_have_its_first_gradient_later_than_others(kind: str) -> None:
    models = network(), network()
    for model, fused in zip(models, (True, False), strict=True):
        optimiser = build_optimiser(KINDS[kind], model)
        for group in optimiser.param_groups:
            group["fused"] = fused
        for step in range(4):
            for weight in model.parameters():
                weight.grad = torch.full_like(weight, 1.0 + step) if step or weight.ndim > 1 else None
            optimiser.step()
    compare(*models)


def test_weights_without_gradients_stay_and_are_not_in_the_norm() -> None:
    model = network()
    before, optimiser = numbers(model), build_optimiser(KINDS["adamw"], model)
    last = model[3].bias  # type: ignore[index]
    last.grad = torch.tensor([3.0, 0.0, 4.0])
    assert gradient_norm(model, None).item() == gradient_norm(model, 9.0).item() == pytest.approx(5.0)
    optimiser.step()
    changed = [not torch.equal(*pair) for pair in zip(before, numbers(model), strict=True)]
    assert changed == [False] * 5 + [True]
    resumed = build_optimiser(KINDS["adamw"], model)
    resumed.load_state_dict(through_a_file(optimiser))
    resumed.step()


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeviceMesh]:
    """Makes this process a group of one, over which weights can be sharded."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.mark.parametrize("kind", KINDS)
def test_sharded_weights_take_the_same_steps(kind: str, mesh: DeviceMesh) -> None:
    models = network(), network()
    fully_shard(models[0], mesh=mesh)
    for model in models:
        optimiser = build_optimiser(KINDS[kind], model)
        for step in range(3):
            torch.manual_seed(step)
            model(torch.randn(4, 5, 3, 3)).square().sum().backward()
            norm = gradient_norm(model, 0.5)
            assert type(norm) is torch.Tensor and norm > 0.5
            optimiser.step()
            optimiser.zero_grad()
    sharded = [weight.full_tensor() for weight in models[0].parameters() if isinstance(weight, DTensor)]
    torch.testing.assert_close(sharded, list(models[1].parameters()), rtol=1e-5, atol=1e-6)


def test_a_rate_is_a_number_of_the_host() -> None:
    """A rate on a device would be waited for, or compiled in."""
    optimiser = build_optimiser(KINDS["adamw"], network())
    assert all(type(group["lr"]) is float for group in optimiser.param_groups)


def test_a_gradient_is_scaled_down_to_its_limit_and_not_up() -> None:
    model = nn.Linear(3, 2)
    for clip, after in ((None, 5.0), (1.0, 1.0), (9.0, 5.0)):
        model.weight.grad, model.bias.grad = torch.zeros(2, 3), torch.tensor([3.0, 4.0])
        norm = gradient_norm(model, clip)
        assert norm.item() == pytest.approx(5.0) and norm.dtype == torch.float32
        assert model.bias.grad.norm().item() == pytest.approx(after, rel=1e-5)


def test_nesterov_without_momentum_is_plain_descent() -> None:
    assert not build_optimiser(replace(VIT, momentum=0.0), nn.Linear(2, 2)).defaults["nesterov"]
