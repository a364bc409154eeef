"""A run that is small enough to be saved often: a network of three layers, and an order of images without images."""

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from torch import nn

from tagmill.pipeline import World
from tagmill.shards import Store
from tagmill.shards.vocabulary import Label, Vocabulary
from tagmill.training.checkpoints.restoring import resume
from tagmill.training.checkpoints.saving import Checkpoints
from tagmill.training.checkpoints.state import tensors_of
from tagmill.training.config.train import TrainConfig
from tagmill.training.model.ema import WeightAverage
from tagmill.training.run import Run

LABELS = Vocabulary(tuple(Label(number, name, (f"n{number}",), (name,)) for number, name in enumerate("abc")))


class Order:
    """Takes the place of a loader: it has a state and nothing else. An epoch is four steps of six images."""

    config = SimpleNamespace(epochs=None)
    batches_per_epoch = 4

    def __init__(self, manifest: str = "m") -> None:
        self.state: dict[str, object] = {"epoch": 0, "turn": 0, "manifest": manifest, "view": "v"}

    def advance(self, step: int) -> None:
        """Moves to the position after a step."""
        self.state |= {"epoch": step // 4, "turn": step % 4 * 6}

    def state_dict(self) -> dict[str, object]:
        """Returns the state."""
        return dict(self.state)

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Takes a state."""
        self.state = dict(state)


def network(seed: int = 0) -> nn.Module:
    """Returns the network; its rows are not a multiple of two or three, and one layer has fewer than three."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.GELU(), nn.Linear(7, 2), nn.Linear(2, 3))


def small_run(
    output: str, model: nn.Module | None = None, world: World | None = None, order: Order | None = None, **options: Any
) -> Run:
    """Returns a run before its first step. `model` may be sharded already; `options` are those of TrainConfig."""
    config = replace(TrainConfig(output=output, steps=100, checkpoint_every=1, optimiser="adamw"), **options)
    model = network() if model is None else model
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.SGD
    own = {} if config.optimiser == "adamw" else {"momentum": 0.9}
    return Run(
        config=config,
        world=world or World(0, 1),
        device="cpu",
        loader=order or Order(),  # type: ignore[arg-type]
        model=model,
        forward=model,
        ema=WeightAverage(model, config.ema, 6) if config.ema else None,
        optimiser=kind(model.parameters(), lr=0.05, **own),
        steps=config.steps or 100,
        steps_per_epoch=4,
        label_weights=None,
    )


def take_steps(run: Run, number: int) -> None:
    """Takes steps whose images are a function of their number, equal on all ranks."""
    for _ in range(number):
        draw = torch.Generator().manual_seed(run.step)
        images = torch.randn(6, 5, generator=draw)
        run.forward(images).square().sum().backward()
        run.optimiser.step()
        run.optimiser.zero_grad()
        if run.ema is not None:
            run.ema.follow(run.model, run.step)
        run.step, run.images = run.step + 1, run.images + 6
        run.loader.advance(run.step)  # type: ignore[attr-defined]


def begun(run: Run, vocabulary: Vocabulary = LABELS) -> Checkpoints:
    """Returns the checkpoints of a run, after it has continued from one if there is one."""
    checkpoints = Checkpoints(run, Store(run.config.output), vocabulary)
    resume(run, checkpoints, vocabulary, Console(quiet=True))
    return checkpoints


def saved(output: str, steps: int, **options: Any) -> Run:
    """Returns a run that has saved a checkpoint after each of its steps."""
    run = small_run(output, **options)
    with begun(run) as checkpoints:
        while run.step < steps:
            take_steps(run, 1)
            checkpoints.save()
    return run


def state_of(run: Run) -> dict[str, torch.Tensor]:
    """Returns copies of all tensors of a run, by name, whole."""
    found = tensors_of(run)
    return {name: getattr(value, "full_tensor", value.clone)().clone() for name, value in found.items()}
