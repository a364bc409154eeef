"""A trained model without its last layer, at a resolution: what makes features of images."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import timm
import torch
from torch import nn

from tagmill.pipeline import Batch
from tagmill.shards import ConfigError, TagmillError
from tagmill.training.trained.model import Trained, Transform, check_finite
from tagmill.training.trained.source import read_trained
from tagmill.training.trained.timm_weights import transform_in

Outputs = Literal["features", "logits"]
T = TypeVar("T")
_FAILURES = (RuntimeError, AssertionError, ValueError, TypeError, AttributeError, LookupError)


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network in evaluation mode on its device, and how it wants its images."""

    trained: Trained
    network: nn.Module
    transform: Transform  # at the resolution of this backbone
    outputs: Outputs  # what it gives of an image: the input of the last layer, or the numbers of the labels
    width: int  # d, numbers of an image
    device: str

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> torch.Tensor:
        """Returns the features of a uint8 batch of n images on the host: float32 [n, d], on the host. Slots that hold no
        image get numbers too, of a grey one."""
        sent = batch.to(self.device).normalised("float32", self.transform.mean, self.transform.std)
        return self.of(sent.images).cpu()

    @torch.inference_mode()
    def of(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the features of normalised images [n, 3, side, side] on the device: float32 [n, d]. They are computed in
        channels_last memory, in which a CPU is faster (tf_efficientnet_lite0: 0.85 of the time); `Batch.normalised` gives
        it, and the other layout differs in the last bits."""
        # cuDNN would compute convolutions in TF32, and features would differ by device in the third digit.
        exact = torch.backends.cudnn.flags(allow_tf32=False) if self.device != "cpu" else nullcontext()
        with exact:
            ordered = images.contiguous(memory_format=torch.channels_last)
            return _vectors(self.network, ordered, self.outputs).float()


def read_model(source: str, network: str | None = None) -> Trained:
    """Reads a trained model as `read_trained` does. `network`: the timm name of the network, for a `.safetensors` file that
    does not say it; images are then normalised and sized as timm does for that name. Raises TagmillError for weights that do
    not fit, and ConfigError for a name that is missing, unknown, or given for a model that has its own."""
    trained = read_trained(source)
    if network is None and trained.network is None:
        what = "weights without the name of their network"
        raise ConfigError(what, source, "give --network NAME, as timm names it, or an exported folder")
    if network is None or network == trained.network:
        return trained
    if trained.network is not None:
        raise ConfigError(f"the model is a {trained.network}, not a {network}", source, "leave --network out")
    if not timm.is_model(network.partition(".")[0]):
        near = ", ".join(timm.list_models(f"{network[:6]}*")[:9]) or "none"
        raise ConfigError(f"no network {network!r}", "timm", f"similar names: {near}")
    return _named(trained, network)


def _named(trained: Trained, network: str) -> Trained:
    """Returns bare weights as a model of this network, with as many outputs as its last layer has rows."""
    with torch.device("meta"):
        empty: Any = timm.create_model(network)
    facts = empty.pretrained_cfg or {}
    last = facts.get("classifier")
    rows = trained.weights.get(f"{last}.weight") if isinstance(last, str) else None
    arguments = {"num_classes": 0 if rows is None else len(rows)}
    named = replace(trained, network=network, network_args=arguments, transform=transform_in(facts))
    named.skeleton()
    return named


def open_backbone(
    trained: Trained,
    side: int | None = None,
    *,
    share: float | None = None,
    outputs: Outputs = "features",
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Backbone:
    """Builds a model for features. `side`: pixels of a side of its images; None: those that it was evaluated with.
    `share`: side of the centre crop to the short side of the resized image; None: the model's own, and 1 at another side
    than its own, as in SWAG's evaluations. Raises TagmillError for a model that cannot be built, has weights that are
    not finite or takes no images of this size, and ConfigError for a GPU that is not there."""
    cuda = device != "cpu" and torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise ConfigError("device cuda, but torch sees no GPU", "transfer", "give --device cpu, or check nvidia-smi")
    own = trained.transform or Transform()
    wanted = own.size if side is None else side
    kept = share if share is not None else own.share if wanted == own.size else 1.0
    if not 0 < kept <= 1:
        raise ConfigError(f"a centre crop of {kept} of the short side", trained.where, "give more than 0, at most 1")
    check_finite(trained.weights, trained.where)
    network = at_resolution(trained.build(), wanted, trained.where).to("cuda" if cuda else "cpu")
    place = "cuda" if cuda else "cpu"
    width = _tried(lambda: _width(network, wanted, outputs, place), wanted, trained.where)
    return Backbone(trained, network, replace(own, size=wanted, share=kept), outputs, width, place)


def at_resolution(network: nn.Module, side: int, where: object) -> nn.Module:
    """Prepares a timm network for images of `side` pixels, in place, and returns it. Position embeddings are resampled
    (timm's `resample_abs_pos_embed`, bicubic); a convolutional network takes any size as it is. Raises ConfigError where
    `side` does not suit the network."""
    setter: Callable[..., None] | None = getattr(network, "set_input_size", None)
    if setter is not None and _side_of(network) != side:
        _tried(lambda: setter(img_size=(side, side)), side, where)
    return network


def _side_of(network: Any) -> int | None:
    """Returns the side of the square images that the network has position embeddings for, if it says so."""
    size = getattr(getattr(network, "patch_embed", None), "img_size", None)
    return int(size[0]) if isinstance(size, tuple | list) and len({*size}) == 1 else None


def _width(network: nn.Module, side: int, outputs: Outputs, device: str) -> int:
    with torch.inference_mode():
        return _vectors(network, torch.zeros(1, 3, side, side, device=device), outputs).shape[1]


def _vectors(network: Any, images: torch.Tensor, outputs: Outputs) -> torch.Tensor:
    """Returns [n, d]. Raises ValueError for a network that gives something else."""
    if outputs == "logits":
        found: torch.Tensor = network(images)
    else:
        found = network.forward_head(network.forward_features(images), pre_logits=True)
    if found.ndim < 2 or found.shape[2:].numel() != 1 or not found.shape[1]:
        raise ValueError(f"it gives {outputs} of shape {list(found.shape)} and not one vector an image")
    return found.flatten(1)


def _tried(call: Callable[[], T], side: int, where: object) -> T:
    try:
        return call()
    except _FAILURES as error:
        if isinstance(error, TagmillError):
            raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        what = f"the network takes no images of {side} pixels: {first[:200]}"
        raise ConfigError(what, where, "give a side that suits it (a ViT: a multiple of its patches)") from error
