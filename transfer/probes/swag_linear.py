"""SWAG's linear probe: a linear layer by SGD, on features that are extracted once."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tagmill.shards import ConfigError, TagmillError
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.probes.logistic import Head
from tagmill.transfer.probes.probe_input import ProbeInput, predictions

SWAG_LINEAR = "swag-linear"
SOURCE = "torchvision pull request 5793, from the authors of SWAG"


@dataclass(frozen=True)
class SwagRecipe:
    """A setting of SWAG's linear probe."""

    name: str
    rate: float  # of the first step; falls by a cosine to 0
    decay: float  # weight decay, of weights and bias
    batch: int
    epochs: int = 28
    momentum: float = 0.9  # Nesterov's
    unverified: tuple[str, ...] = ()  # fields whose value no source that could be read has

    def __post_init__(self) -> None:
        if not self.rate > 0 or self.decay < 0 or self.batch < 1 or self.epochs < 1 or not 0 < self.momentum < 1:
            raise ConfigError(
                f"a recipe without meaning: {self}", SWAG_LINEAR, "give a rate above 0 and at least one epoch"
            )


SWAG_REGNET = SwagRecipe("regnet", 0.001, 1e-3, 256)
SWAG_VIT = SwagRecipe("vit", 0.01, 1e-9, 1024, unverified=("rate",))


def swag_linear_probe(
    data: ProbeInput, recipe: SwagRecipe = SWAG_REGNET, seed: int = 0, device: str = "cpu"
) -> Outcome:
    """Returns the outcome of SWAG's linear probe: cross-entropy, SGD with Nesterov momentum, cosine to 0. SWAG draws a random
    crop and flip of each image in each epoch; on features there is no augmentation, and `settings` says so, as it names the
    values that are not verified. The first weights are uniform as those of torch's Linear. Raises TagmillError where it
    diverges."""
    train = data.train
    head = _trained(data, recipe, torch.Generator().manual_seed(seed), device)
    settings = {
        "recipe": recipe.name,
        "rate": recipe.rate,
        "weight_decay": recipe.decay,
        "batch": recipe.batch,
        "epochs": recipe.epochs,
        "steps": recipe.epochs * -(-len(train) // recipe.batch),
        "momentum": recipe.momentum,
        "seed": seed,
        "augmentation": "none, where SWAG has random crops and flips",
        "unverified": list(recipe.unverified),
        "source": SOURCE,
    }
    return data.outcome(SWAG_LINEAR, predictions(data.test.values, head.scores, data.missing), settings)


def _trained(data: ProbeInput, recipe: SwagRecipe, draw: torch.Generator, device: str) -> Head:
    size, classes, count = data.train.values.shape[1], len(data.train.classes), len(data.train)
    bound = size**-0.5
    weights = nn.Parameter(((2 * torch.rand(classes, size, generator=draw) - 1) * bound).to(device))
    bias = nn.Parameter(((2 * torch.rand(classes, generator=draw) - 1) * bound).to(device))
    values, labels = torch.from_numpy(data.train.values).to(device), torch.from_numpy(data.train.labels).to(device)
    optimiser = torch.optim.SGD(
        [weights, bias], recipe.rate, momentum=recipe.momentum, nesterov=True, weight_decay=recipe.decay
    )
    # A cosine in epochs, as torchvision's reference training steps it.
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs)
    for _ in range(recipe.epochs):
        order = torch.randperm(count, generator=draw).to(device)
        for start in range(0, count, recipe.batch):
            rows = order[start : start + recipe.batch]
            optimiser.zero_grad()
            loss = functional.cross_entropy(functional.linear(values[rows], weights, bias), labels[rows])
            torch.autograd.backward([loss])
            optimiser.step()
        schedule.step()
    found = Head(weights.detach().cpu().numpy().astype(np.float64), bias.detach().cpu().numpy().astype(np.float64))
    if not (np.isfinite(found.weights).all() and np.isfinite(found.bias).all()):
        raise TagmillError("SWAG's linear probe diverged", data.set, "give a lower rate")
    return found
