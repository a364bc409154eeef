"""Tests that the gradient of a step is the same on one process, on several, and in parts, for a model with kinks.

A ReLU and the largest of four values have derivatives that jump. Where rounding moves a value over such a kink, the run takes
another way from there on (weights differed by 3e-3 after 11 steps), so that whole runs cannot be compared; single steps from
the same weights can. Batch normalisation would differ by definition, because each process and part has statistics of its own:
the model has group normalisation.
"""

import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tagmill.train import train
from tagmill.training.config.train import TrainConfig
from tests.pipeline.corpora import Made
from tests.training.runs import VIT
from tests.training.whole.worlds import WHOLE, run, run_each

STEPS = range(1, 11, 1 if WHOLE else 3)
"""The checkpoints from which a step is taken: ten, or four."""


class CompleteError(Exception):
    """Ends a run when a gradient is complete."""


def keep_the_first_gradient(config: TrainConfig) -> None:
    """Ends a run in its first step, when the gradient is complete; rank 0 saves it."""

    def keep(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        if os.environ.get("RANK", "0") == "0":
            found = [value.grad for group in optimiser.param_groups for value in group["params"]]
            torch.save(torch.cat([value.double().flatten() for value in found]), f"{config.output}.{name_of(config)}")
        if dist.is_initialized():
            dist.barrier()
        raise CompleteError

    hook = register_optimizer_step_pre_hook(keep)
    try:
        with pytest.raises(CompleteError):
            train(config)
    finally:
        hook.remove()


def name_of(config: TrainConfig) -> str:
    return f"{config.resume}-{config.accumulation}.gradient"


@pytest.fixture(scope="module")
def kinked(whole_corpus: Made, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    output = tmp_path_factory.mktemp("kinked") / "model"
    args: dict[str, int | float | bool | str] = {"norm_layer": "groupnorm1"}
    config = replace(VIT, model="test_resnet", model_args=args, corpus=whole_corpus.url, batch_size=16, steps=12)
    return run(config, checkpoint_every=1, keep=12, output=str(output))


def gradients(config: TrainConfig, folder: Path, ranks: int, parts: int) -> list[torch.Tensor]:
    """Returns the gradient of the step after each checkpoint, float64 [weights]."""
    output = folder / f"{ranks}-{parts}"
    shutil.copytree(config.output, output)
    steps = [replace(config, output=str(output), resume=str(step), accumulation=parts) for step in STEPS]
    run_each(steps, ranks, keep_the_first_gradient)
    return [torch.load(f"{output}.{name_of(step)}", weights_only=True) for step in steps]


@pytest.fixture(scope="module")
def wanted(kinked: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> list[torch.Tensor]:
    return gradients(kinked, tmp_path_factory.mktemp("wanted"), 1, 1)


@pytest.mark.parametrize(("ranks", "parts"), [(1, 2), (1, 3), (2, 1), (3, 1)] if WHOLE else [(1, 3), (3, 1)])
def test_a_step_from_each_checkpoint_has_one_gradient(
    kinked: TrainConfig, wanted: list[torch.Tensor], tmp_path: Path, ranks: int, parts: int
) -> None:
    found = gradients(kinked, tmp_path, ranks, parts)
    for one, other in zip(wanted, found, strict=True):
        assert one.norm() > 0.1
        assert (one - other).norm() < 1e-5 * one.norm()
        assert (one - other).abs().max() < 1e-5 * one.abs().max()
    distances = [float((one - other).norm() / one.norm()) for one, other in itertools.combinations(wanted, 2)]
    assert min(distances) > 0.1, "steps have different gradients"
