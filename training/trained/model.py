"""A trained model in memory: its weights and, as far as its source says so, network, labels and image transform."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import timm
import torch
from torch import nn

from tagmill.pipeline import EVAL_SHARE, LoaderConfig
from tagmill.shards import ConfigError, TagmillError
from tagmill.training.model.outline import outlined
from tagmill.training.trained.labels import ModelLabels

Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Transform:
    """How a model wants its images; ours by default."""

    size: int = 224  # pixels of a side
    share: float = EVAL_SHARE  # side of the centre crop to the short side of the resized image
    mean: tuple[float, float, float] = LoaderConfig.mean  # in units of 0..255
    std: tuple[float, float, float] = LoaderConfig.std
    squeezed: bool = (
        False  # the crop has `share` of both sides of the image and becomes a square, as in BiT's fine-tuning
    )


@dataclass(frozen=True)
class Trained:
    """A trained model."""

    where: str
    weights: Weights
    network: str | None = None  # name in timm
    network_args: Mapping[str, Any] = field(default_factory=dict)  # of timm's create_model
    labels: ModelLabels | None = None
    loss: str | None = None  # softmax or sigmoid
    transform: Transform | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of weights and labels, 64 hex digits, wherever they are kept."""
        found = hashlib.sha256()
        for name in sorted(self.weights):
            value = self.weights[name].detach().cpu().contiguous()
            found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            found.update(value.reshape(-1).view(torch.uint8).numpy().data)
        for label in self.labels or ():
            found.update(f"{label.name} {'+'.join(label.synsets)}\n".encode())
        return found.hexdigest()

    def build(self) -> nn.Module:
        """Returns the network with these weights, in evaluation mode. Raises TagmillError where they do not fit it."""
        self.skeleton()  # so that no configuration takes more memory than its weights
        model = self.fresh()
        try:
            model.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            raise self._unfit(error) from error
        return model.eval()

    def skeleton(self) -> nn.Module:
        """Returns the network without memory for its weights (on torch's meta device), for what it says of itself. Raises
        TagmillError where the weights do not fit it."""
        try:
            with outlined():
                model = self.fresh()
        except TagmillError as error:
            if not isinstance(error.__cause__, NotImplementedError) and "meta" not in str(error.__cause__):
                raise
            model = self.fresh()  # one that looks at numbers while it is built
        wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in self.weights.items()}
        if differ := sorted(name for name in wanted | found if wanted.get(name) != found.get(name)):
            raise self._unfit(", ".join(differ[:3]))
        return model

    def fresh(self) -> nn.Module:
        """Returns the network with the random weights of timm. Raises TagmillError for one that cannot be built."""
        if self.network is None:
            what = "weights without the name of their network"
            raise TagmillError(what, self.where, "give a folder that `tagmill train export` made, or a run's output")
        labels = {"num_classes": len(self.labels)} if self.labels is not None else {}
        try:
            return cast(nn.Module, timm.create_model(self.network, **{**self.network_args, **labels}))
        except (RuntimeError, TypeError, ValueError, AssertionError, LookupError, AttributeError) as error:
            raise self._unfit(error) from error

    def _unfit(self, why: object) -> TagmillError:
        lines = [line.strip() for line in str(why).splitlines() if line.strip()]
        what = f"weights that do not fit {self.network}: {' '.join(lines[:2])[:300] or type(why).__name__}"
        return TagmillError(what, self.where, "export the model again")


def check_finite(weights: Weights, where: object) -> None:
    """Raises ConfigError for weights with NaN or infinity."""
    bad = [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise ConfigError(f"weights that are not finite: {', '.join(bad[:3])}", where, "take an earlier checkpoint")
