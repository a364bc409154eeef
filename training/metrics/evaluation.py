"""The accuracy of a model on held-out images, exact over all processes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, cast

import torch
import torch.distributed as dist
from torch import nn

from tagmill.pipeline import Batch, Loader, LoaderConfig
from tagmill.shards import Vocabulary
from tagmill.training.config.train import TrainConfig
from tagmill.training.metrics.accuracy import Tally, best_of


def scores(model: nn.Module, images: torch.Tensor, config: TrainConfig) -> torch.Tensor:
    """Returns the logits [b, L] of normalised images, in the precision of the configuration."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        return cast(torch.Tensor, model(images))


def best_labels(model: nn.Module, batch: Batch, config: TrainConfig) -> torch.Tensor:
    """Returns the best labels (`best_of`) of a batch of uint8 images, normalised on its device. It is computed in as many
    parts as a step is, so that scores take no more memory than there, and in the same number of parts on all processes,
    because a sharded model communicates in each."""
    rows = torch.arange(len(batch), device=batch.images.device)
    output: Literal["bfloat16", "float32"] = "bfloat16" if config.precision == "bf16" else "float32"
    found = []
    for part in rows.tensor_split(config.accumulation):
        some = part if len(part) else rows[:1]
        images = batch.normalised_rows(some, output, LoaderConfig.mean, LoaderConfig.std)
        found.append(best_of(scores(model, images, config))[: len(part)])
    return torch.cat(found)


def evaluate(
    models: dict[str, nn.Module],
    config: TrainConfig,
    loader: Loader,
    device: str,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, dict[str, Any]] | None:
    """Computes the accuracy of each model on the images of `loader`, as `Tally.result` has it. Every process calls it.
    Returns None if `stopped`, which is asked after each batch, says so on all processes. Changes nothing of the models, of
    torch's random numbers and of the loader's later passes."""
    vocabulary = cast(Vocabulary, loader.vocabulary)
    tallies = {name: Tally(len(vocabulary), device) for name in models}
    with ExitStack() as stack:
        # Not inference_mode: what a network or a sharded weight keeps from it could not be used in training again.
        stack.enter_context(torch.no_grad())
        devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices))
        for model in models.values():
            stack.enter_context(judged(model))
        for batch in (batch.to(device, non_blocking=True) for batch in loader):
            holes = batch.count - batch.valid.sum()
            for name, model in models.items():
                tallies[name].add(best_labels(model, batch, config), batch.labels)
                tallies[name].add_holes(holes)
            if stopped():
                return None
    return {name: tally.result(vocabulary) for name, tally in tallies.items()}


@contextmanager
def judged(model: nn.Module) -> Iterator[None]:
    """Within it a model is in evaluation mode and has the buffers (running statistics) of rank 0, which are those that a
    checkpoint has; afterwards every module has its own mode and buffers again."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = list(model.buffers()) if dist.is_initialized() else []
    own = [buffer.clone() for buffer in buffers]
    try:
        model.eval()
        for buffer in buffers:
            dist.broadcast(buffer, 0)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for buffer, before in zip(buffers, own, strict=True):
            buffer.copy_(before)
