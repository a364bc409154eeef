"""The network that is fine-tuned: a trained one with a new last layer, for images of any size that it takes."""

from dataclasses import replace

import torch
from torch import nn

from tagmill.shards import ConfigError
from tagmill.training.config.train import TrainConfig
from tagmill.training.model.build import build_model, check_model
from tagmill.training.model.head import classifier_path
from tagmill.training.model.statistics import has_batch_statistics
from tagmill.training.trained.initial import take_trunk
from tagmill.training.trained.model import Trained, check_finite


def sized(config: TrainConfig) -> TrainConfig:
    """Returns the configuration of a network that takes images of `config.size` pixels: as it is, or with timm's `img_size`,
    where position embeddings belong to a size. Raises ConfigError for a size that the network does not take."""
    try:
        check_model(config)
    except ConfigError:
        side = config.loader_config().largest_size
        other = replace(config, model_args={**config.model_args, "img_size": side})
        try:
            check_model(other)
        except ConfigError as error:
            what = f"{config.model} takes no images of {side} pixels: {error.what}"
            raise ConfigError(what, "fine-tuning", "give a --fine-tune-size that suits the network") from error
        return other
    return config


def tuned_network(
    trained: Trained, config: TrainConfig, classes: int, *, zero_head: bool, processes: int = 1
) -> nn.Module:
    """Returns a network with the weights of `trained` and a new last layer of `classes` outputs, drawn from `config.seed`, or
    zero. Raises TagmillError for a model that cannot be built, has no last layer of its own or is not finite, and for steps
    that are too small for it on so many `processes`."""
    check_finite(trained.weights, trained.where)
    torch.manual_seed(config.seed)
    model = build_model(config, classes)
    _check_share(config.batch_size, processes, normalised=has_batch_statistics(model))
    path = classifier_path(model)
    if path is None:
        what = f"{config.model} has no last layer that timm names, or several"
        raise ConfigError(what, trained.where, "give another network, or judge its features by a probe")
    take_trunk(model, trained, config.model)
    if zero_head:
        for value in model.get_submodule(path).parameters():
            nn.init.zeros_(value)
    return model


def _check_share(batch_size: int, processes: int, *, normalised: bool) -> None:
    """Raises ConfigError where a step leaves a process without an image, or with a single one that a network with batch
    normalisation cannot normalise."""
    if batch_size // processes >= (2 if normalised else 1):
        return
    what = "steps of one image" if batch_size == 1 else f"steps of {batch_size:,} images"
    kind = " for a network with batch normalisation" if normalised else ""
    who, fewer = (f" on {processes:,} processes", ", or start fewer processes") if processes > 1 else ("", "")
    raise ConfigError(f"{what}{kind}{who}", "fine-tuning", f"give a larger --fine-tune-batch{fewer}")
