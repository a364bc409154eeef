"""Tests a step of the optimiser, beside one that is written with torch alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tagmill.pipeline import Batch, World
from tagmill.training.config.train import TrainConfig
from tagmill.training.one_step import backward, take_step
from tagmill.training.run import StepRun
from tagmill.training.step.optimiser import build_optimiser

MEAN, STD = (10.0, 100.0, 200.0), (50.0, 60.0, 70.0)
CONFIG = TrainConfig(batch_size=6, lr=0.5, optimiser="sgd", weight_decay=0.0, device="cpu")
BEFORE: dict[str, object] = {"epoch": 0, "turn": 0}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5))


def begun(**changed: Any) -> StepRun:
    config, model, order = replace(CONFIG, **changed), network(), None
    parts = (model, model, None, build_optimiser(config, model), 10, 10, None)
    return StepRun(config, World(0, 1), "cpu", order, *parts, mean=MEAN, std=STD)  # type: ignore[arg-type]


def batch(holes: int = 0) -> Batch:
    draw = np.random.default_rng(1)
    images = torch.from_numpy(draw.integers(0, 256, (6, 3, 4, 4), np.uint8))
    valid = np.arange(6) >= holes
    images[:holes] = 0
    labels = [np.array([row % 5] if ok else [], np.int32) for row, ok in enumerate(valid)]
    return Batch.of(images, labels, valid, 6, np.zeros((6, 16), np.uint8), np.arange(6))


def wanted(holes: int = 0) -> tuple[nn.Module, torch.Tensor]:
    """The network with the gradient of the mean loss of a step of six slots, and the sum of the losses."""
    model, given = network(), batch(holes)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, STD))
    loss = cross_entropy(model((given.images - mean) / std)[holes:], torch.arange(holes, 6) % 5, reduction="sum")
    (loss / 6).backward()
    return model, loss.detach()


@pytest.mark.parametrize(("parts", "holes"), [(1, 0), (4, 0), (2, 3), (1, 6)])
def test_the_gradient_is_the_one_of_torch_in_any_number_of_parts(parts: int, holes: int) -> None:
    run = begun(accumulation=parts)
    model, loss = wanted(holes)
    assert backward(run, batch(holes)).item() == pytest.approx(loss.item(), abs=1e-5)
    for own, other in zip(run.model.parameters(), model.parameters(), strict=True):
        assert own.grad is not None and other.grad is not None
        assert torch.allclose(own.grad, other.grad, atol=1e-6)


def test_a_step_goes_down_the_gradient_by_the_given_rate_and_is_noted() -> None:
    run = begun(momentum=0.0)
    model, loss = wanted(2)
    take_step(run, batch(2), BEFORE, 0.03)
    for own, other in zip(run.model.parameters(), model.parameters(), strict=True):
        assert other.grad is not None and own.grad is None
        assert torch.allclose(own, other - 0.03 * other.grad, atol=1e-6)
    norm = nn.utils.get_total_norm([value.grad for value in model.parameters() if value.grad is not None]).item()
    ((before, numbers),) = run.unlogged
    assert before is BEFORE and numbers.tolist() == pytest.approx([loss.item(), 4, 2, norm], rel=1e-5)
    assert run.step == 1
