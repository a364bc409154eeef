"""Random networks to compare a trained one with: weights of a seed, and batch statistics of training images."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import timm
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tagmill.shards import ConfigError, TagmillError
from tagmill.training.trained.model import Trained, Transform
from tagmill.training.trained.timm_weights import transform_in
from tagmill.transfer.features.decoded import decoded_batches
from tagmill.transfer.sets.labelled_set import LabelledSet

RANDOM_SEEDS = (0, 1, 2, 3, 4)
STATISTICS_IMAGES = 1000
STATISTICS_BATCH = 50


def architecture(network: str, transform: Transform | None = None) -> Trained:
    """Returns a timm network by its name, without weights, for `random_network`. `transform`: None for timm's of this name.
    Raises ConfigError for an unknown name."""
    if not timm.is_model(network.partition(".")[0]):
        near = ", ".join(timm.list_models(f"{network[:6]}*")[:9]) or "none"
        raise ConfigError(f"no network {network!r}", "timm", f"similar names: {near}")
    facts = timm.get_pretrained_cfg(network)
    found = transform_in(facts.to_dict()) if transform is None and facts is not None else transform
    return Trained(network, {}, network, transform=found)


def random_network(
    like: Trained,
    seed: int,
    images: LabelledSet,
    *,
    count: int = STATISTICS_IMAGES,
    batch: int = STATISTICS_BATCH,
    threads: int | None = None,
) -> Trained:
    """Returns the network of `like` with random weights and everything else of it: labels, transform, loss. Batch
    normalisation gets its statistics from `count` training images at even distances (fewer where the set has fewer), as
    the plain average over batches of `batch` images. With the statistics that it is made with (mean 0, variance 1),
    features of a deep network hardly differ between images, and it would be too weak a comparison. The same seed and
    images give the same weights. Raises TagmillError where fewer than two images can be decoded."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        network = like.fresh().eval()
    network = network.to("cuda" if torch.cuda.is_available() else "cpu")
    set_statistics(network, like.transform or Transform(), images, count=count, batch=batch, threads=threads)
    weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    return replace(like, where=f"random {like.network}, seed {seed}", weights=weights)


def random_networks(
    like: Trained, images: LabelledSet, seeds: tuple[int, ...] = RANDOM_SEEDS, *, threads: int | None = None
) -> Iterator[Trained]:
    """Yields a random network of each seed, one at a time in memory."""
    for seed in seeds:
        yield random_network(like, seed, images, threads=threads)


@torch.no_grad()
def set_statistics(
    network: nn.Module,
    transform: Transform,
    images: LabelledSet,
    *,
    count: int = STATISTICS_IMAGES,
    batch: int = STATISTICS_BATCH,
    threads: int | None = None,
) -> None:
    """Sets the running statistics of all batch normalisation to the plain average of those of the batches, in place, with
    the rest of the network in evaluation mode, on the network's device. Needs no image where there is no batch
    normalisation. Raises TagmillError where fewer than two images can be decoded."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        return
    network.eval()
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: the cumulative average
        norm.train()
    fed, device = 0, next(network.parameters()).device
    for pixels in _full_batches(images, transform, count, batch, threads):
        network(pixels.to(device))
        fed += len(pixels)
    if not fed:
        remedy = "give a training set with images"
        raise TagmillError("fewer than two images for the batch statistics", images.where, remedy)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
        norm.eval()


def _full_batches(
    images: LabelledSet, transform: Transform, count: int, batch: int, threads: int | None
) -> Iterator[torch.Tensor]:
    """Yields normalised images [batch, 3, side, side] without holes. What is left at the end is a batch only where there was
    none before, and it has two images: it would weigh as much as a whole one."""
    places = np.unique(np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(np.int64)).tolist()
    chunks = [places[start : start + batch] for start in range(0, len(places), batch)]
    left, any_yet = torch.empty(0), False
    for each in decoded_batches(images, chunks, transform, threads):
        found = each.batch.normalised("float32", transform.mean, transform.std).images[each.batch.valid]
        left = torch.cat([left, found]) if len(left) else found
        if len(left) >= batch:
            yield left[:batch]
            left, any_yet = left[batch:], True
    if len(left) > 1 and not any_yet:
        yield left
