"""The loop that a trainer of one's own would have: a network of timm, torch's optimiser and cross-entropy, and nothing else."""

from collections.abc import Callable
from typing import Any

import timm
import torch
from torch.nn import functional

from tagmill.pipeline import Batch, LoaderConfig
from tagmill.training.config.train import TrainConfig

Step = Callable[[Batch], None]


def bare_loop(config: TrainConfig, labels: int, device: str) -> Step:
    """Builds a network, and returns what trains it on a batch of uint8 images, which are normalised as timm's loader does.

    The targets of a batch, made once, are class numbers if every image has one label, else dense float32 [b, labels] with
    1/k on each of an image's k labels.
    """
    torch.manual_seed(config.seed)
    layout = torch.channels_last if config.channels_last else torch.preserve_format
    model = timm.create_model(config.model, num_classes=labels, **config.model_args).to(device, memory_format=layout)
    optimiser = optimiser_of(config, model.train())
    run: Any = torch.compile(model) if config.compile else model
    mean, deviation = (
        torch.tensor(each, device=device).view(1, 3, 1, 1) for each in (LoaderConfig.mean, LoaderConfig.std)
    )
    low = config.precision == "bf16"
    known: dict[int, torch.Tensor] = {}

    def step(batch: Batch) -> None:
        targets = known.get(id(batch))
        if targets is None:
            targets = known[id(batch)] = targets_of(batch, labels)
        images = batch.images.float().sub_(mean).div_(deviation)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=low):
            loss = functional.cross_entropy(run(images).float(), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()

    return step


def targets_of(batch: Batch, labels: int) -> torch.Tensor:
    """Returns what torch's cross-entropy is given for a batch."""
    terms = batch.labels.terms()
    if len(terms.ids) == len(batch) and bool((batch.labels.offsets.diff() == 1).all()):
        return terms.ids
    dense = torch.zeros(len(batch), labels, device=terms.weights.device)
    dense[terms.rows, terms.ids] = terms.weights
    return dense


def optimiser_of(config: TrainConfig, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Returns the optimiser of a configuration, fused, with one group of weights."""
    if config.optimiser == "adamw":
        betas = (config.momentum, config.beta2)
        return torch.optim.AdamW(model.parameters(), config.lr, betas, weight_decay=config.weight_decay, fused=True)
    nesterov = config.optimiser == "nesterov" and config.momentum > 0
    return torch.optim.SGD(
        model.parameters(),
        config.lr,
        config.momentum,
        weight_decay=config.weight_decay,
        nesterov=nesterov,
        fused=True,
    )
