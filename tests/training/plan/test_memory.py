"""Tests the estimate of a device's memory against what a step really allocates."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import nn

from tagmill.training.model.build import build_model
from tagmill.training.parallel.blocks import blocks_of
from tagmill.training.plan.memory import device_memory, memory_of
from tagmill.training.step.optimiser import build_optimiser
from tests.training.runs import VIT

LABELS = 11


def size_of(tensors: list[torch.Tensor]) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)


@pytest.mark.parametrize(
    ("optimiser", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("nesterov", 0.9), ("adamw", 0.9), ("adamw", 0.0)]
)
def test_weights_gradients_and_optimiser_are_what_a_step_allocates(
    optimiser: Literal["sgd", "nesterov", "adamw"], momentum: float
) -> None:
    config = replace(VIT, optimiser=optimiser, momentum=momentum)
    model = build_model(config, LABELS)
    steps = build_optimiser(config, model)
    images = torch.randn(4, 3, 32, 32)
    logits = model(images)
    logits.sum().backward()
    steps.step()
    found = device_memory(config, model, 1, 4, 32, LABELS)
    held = [value for state in steps.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    assert found.weights == size_of(list(model.parameters()))
    assert found.gradients == size_of([each.grad for each in model.parameters() if each.grad is not None])
    assert found.optimiser == size_of([each for each in held if each.ndim])  # Adam's step numbers are scalars
    assert found.logits == 2 * size_of([logits])
    assert found.images == size_of([images]) + images.numel()  # and their bytes as they came
    assert found.total == sum([found.weights, found.gradients, found.optimiser, found.images, found.logits])


def test_parts_precision_and_an_average_change_it() -> None:
    model = nn.Linear(10, 10, bias=False)
    one = device_memory(VIT, model, 1, 24, 32, 1000)
    parts = device_memory(replace(VIT, accumulation=3), model, 1, 24, 32, 1000)
    half = device_memory(replace(VIT, precision="bf16"), model, 1, 24, 32, 1000)
    averaged = device_memory(replace(VIT, ema=100), model, 2, 24, 32, 1000)
    assert (one.weights, one.gradients, one.average, one.gathered) == (400, 400, 0, 0)
    assert half.weights == 600 and (averaged.average, averaged.gradients) == (400, 400)
    assert one.logits == 24 * 1000 * 8 and parts.logits == 8 * 1000 * 8
    assert one.images - half.images == 24 * 3 * 32**2 * 2 and one.images - parts.images == 16 * 3 * 32**2 * 4


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_fsdp_divides_what_belongs_to_weights(name: str) -> None:
    config = replace(VIT, model=name, model_args={}, optimiser="adamw", ema=100, parallel="fsdp")
    with torch.device("meta"):
        model = build_model(config, LABELS)
    alone, four = (device_memory(config, model, processes, 24, 32, LABELS) for processes in (1, 4))
    assert alone == device_memory(replace(config, parallel="ddp"), model, 4, 24, 32, LABELS)
    for kind in ("weights", "gradients", "optimiser", "average"):
        assert getattr(alone, kind) / 4 <= getattr(four, kind) < getattr(alone, kind) / 4 + 8
    # Whole at a time: at least what is in no block, at most all weights and a block's gradient.
    blocks = [size_of(list(block.parameters())) for block in blocks_of(model)]
    assert alone.weights - sum(blocks) + max(blocks) <= four.gathered <= alone.weights + max(blocks)
    assert (four.images, four.logits) == (alone.images, alone.logits)


def test_with_fsdp_only_convolutions_are_copied_in_bfloat16() -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 2, bias=False), nn.Linear(10, 10, bias=False))
    config = replace(VIT, precision="bf16")
    assert device_memory(config, model, 4, 24, 32, LABELS).weights == 116 * 6
    assert device_memory(replace(config, parallel="fsdp"), model, 4, 24, 32, LABELS).weights == 116 + 16 * 2


def test_it_is_said_with_its_parts() -> None:
    with torch.device("meta"):
        model = nn.Linear(1 << 14, 1 << 14, bias=False)  # 1 GiB
    said = device_memory(VIT, model, 1, 24, 32, 1000).in_words()
    assert said.startswith(
        "3.00 GiB a process (weights 1.00, gradients 1.00, optimiser 1.00, images 0.00, logits 0.00)"
    )
    assert said.endswith("and activations")


def test_the_memory_of_a_cpu_is_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory_of("cpu") is None
    asked = list[str]()

    class Properties:
        total_memory = 80 << 30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: asked.append(device) or Properties)
    assert memory_of("cuda:3") == 80 << 30 and asked == ["cuda:3"]
