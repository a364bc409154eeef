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


def tuned_network(trained: Trained, config: TrainConfig, classes: int, *, zero_head: bool) -> nn.Module:
    """Returns a network with the weights of `trained` and a new last layer of `classes` outputs, drawn from `config.seed`, or
    zero. Raises TagmillError for a model that cannot be built, has no last layer of its own or is not finite."""
    check_finite(trained.weights, trained.where)
    torch.manual_seed(config.seed)
    model = build_model(config, classes)
    if has_batch_statistics(model) and config.batch_size < 2:
        what = "steps of one image for a network with batch normalisation"
        raise ConfigError(what, "fine-tuning", "give a larger --fine-tune-batch")
    path = classifier_path(model)
    if path is None:
        what = f"{config.model} has no last layer that timm names, or several"
        raise ConfigError(what, trained.where, "give another network, or judge its features by a probe")
    take_trunk(model, trained, config.model)
    if zero_head:
        for value in model.get_submodule(path).parameters():
            nn.init.zeros_(value)
    return model
