"""The network of a run: timm's, with a last layer that computes in float32."""

import json
from contextlib import suppress
from typing import cast

import timm
import torch
from torch import nn

from tagmill.shards import ConfigError
from tagmill.training.config.train import TrainConfig
from tagmill.training.model.head import compute_head_in_float32
from tagmill.training.model.outline import outlined
from tagmill.training.model.recompute import recompute_blocks


def build_model(config: TrainConfig, num_classes: int) -> nn.Module:
    """Builds the model, with one output for each label. Raises ConfigError for a name or argument unknown to timm."""
    try:
        model = cast(nn.Module, timm.create_model(config.model, num_classes=num_classes, **config.model_args))
    except (RuntimeError, TypeError) as error:
        near = ", ".join(timm.list_models(f"{config.model[:6]}*")[:9])
        what = f"no model {config.model!r} with {config.model_args or 'no arguments'}: {error}"
        raise ConfigError(what, "timm", f"similar names: {near or 'none'}") from error
    head = compute_head_in_float32(model)
    if (bias := config.first_head_bias) is not None and head is not None and head.bias is not None:
        nn.init.constant_(head.bias, bias)
    if config.activation_checkpointing:
        recompute_blocks(model, config.model)
    return model


def check_model(config: TrainConfig) -> None:
    """Runs an image of each size of the run through the model without data or memory (torch's meta device), so that a size
    that the network does not take is found before a corpus is opened. A process tries a size once. Raises ConfigError."""
    size = config.loader_config().size
    sides = {config.evaluation_size or 0, *((size,) if isinstance(size, int) else size.sides)} - {0}
    network = (config.model, json.dumps(config.model_args, sort_keys=True), config.activation_checkpointing)
    model: nn.Module | None = None
    for side in sorted(sides):
        if (*network, side) in _TAKEN:
            continue
        # NotImplementedError: the network looks at its numbers, of which there are none; only a run will show.
        with torch.inference_mode(), suppress(NotImplementedError):
            try:
                if model is None:
                    with outlined():
                        model = build_model(config, 2).eval()
                with torch.device("meta"):
                    model(torch.empty(1, 3, side, side))
                _TAKEN.add((*network, side))
            except (RuntimeError, AssertionError, ValueError, TypeError) as error:
                if isinstance(error, NotImplementedError | ConfigError) or "meta tensors" in str(error):
                    continue
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
                remedy = (
                    "give sizes that suit the model (of timm, a ViT with --model-args.img-size N, or dynamic_img_size)"
                )
                raise ConfigError(
                    f"{config.model} takes no images of {side} pixels: {first}", "train", remedy
                ) from error


_TAKEN: set[tuple[object, ...]] = set()
"""Networks and sides of images that they take."""
