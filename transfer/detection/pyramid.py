"""Feature pyramids over timm's networks: FPN where a network has maps of several strides, ViTDet's where it has one."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from timm.layers import LayerNorm2d, freeze_batch_norm_2d
from torch import nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from tagmill.shards import ConfigError
from tagmill.training.trained.model import Trained

STRIDES = (4, 8, 16, 32)
VIT_STRIDE = 16
_REMEDY = "take a network with strides 4, 8, 16 and 32, such as a ResNet, or a ViT with patches of 16 pixels"


class PyramidBackbone(nn.Module):
    """Maps of an image at several strides, each of `out_channels` channels, by name: '0' is the finest."""

    def __init__(self, maps: nn.Module, pyramid: nn.Module, strides: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.maps, self.pyramid = maps, pyramid
        self.strides, self.out_channels = tuple(strides), out_channels  # strides with those of the coarser levels added

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Takes normalised images [n, 3, height, width], with sides that 32 divides."""
        found: dict[str, torch.Tensor] = self.pyramid(self.maps(images))
        return found


class TimmMaps(nn.Module):
    """The maps of a timm network at some of its stages, finest first, without the layers behind the last one."""

    def __init__(self, network: Any, indices: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.indices = list(indices)
        network.prune_intermediate_layers(self.indices, prune_norm=False, prune_head=True)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        network: Any = self.network
        maps = network.forward_intermediates(
            images, indices=self.indices, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return OrderedDict((str(place), each) for place, each in enumerate(maps))


class SimplePyramid(nn.Module):
    """ViTDet's simple feature pyramid: maps of strides 4, 8, 16 and 32 from the last map of a ViT, and a coarser level."""

    def __init__(self, width: int, out_channels: int, levels: Sequence[int], extra: nn.Module) -> None:
        super().__init__()
        up4 = nn.Sequential(
            nn.ConvTranspose2d(width, width // 2, 2, 2),
            LayerNorm2d(width // 2),
            nn.GELU(),
            nn.ConvTranspose2d(width // 2, width // 4, 2, 2),
        )
        ways = {4: (up4, width // 4), 8: (nn.ConvTranspose2d(width, width // 2, 2, 2), width // 2)}
        ways |= {16: (nn.Identity(), width), 32: (nn.MaxPool2d(2, 2), width)}
        self.levels = nn.ModuleList(
            nn.Sequential(
                ways[stride][0],
                nn.Conv2d(ways[stride][1], out_channels, 1, bias=False),
                LayerNorm2d(out_channels),
                nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
                LayerNorm2d(out_channels),
            )
            for stride in levels
        )
        self.extra = extra

    def forward(self, maps: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        last = maps["0"]
        made = [level(last) for level in self.levels]
        values, names = self.extra(made, [last] * len(made), [str(place) for place in range(len(made))])
        return OrderedDict(zip(names, values, strict=True))


def pyramid_backbone(
    trained: Trained, network: nn.Module, channels: int, *, from_stride: int, two_more: bool
) -> PyramidBackbone:
    """Returns a pyramid of `channels` channels over a network with the weights of `trained`. Levels begin at stride
    `from_stride` and end at 32; then comes one of stride 64 by max pooling, as in FPN, or with `two_more` those of
    strides 64 and 128 by convolutions, as in RetinaNet. Batch normalisation becomes fixed scales and offsets.

    Raises ConfigError for a network that has neither maps of strides 4 to 32, nor one of stride 16, and for one that does
    not take images of any size.
    """
    strides = _strides_of(network, trained)
    levels = [stride for stride in STRIDES if stride >= from_stride]
    extra = LastLevelP6P7(channels, channels) if two_more else LastLevelMaxPool()
    all_strides = [*levels, 64, *([128] if two_more else [])]
    if set(STRIDES) <= set(strides):
        indices = [len(strides) - 1 - strides[::-1].index(stride) for stride in levels]
        pyramid: nn.Module = FeaturePyramidNetwork([_width(network, each) for each in indices], channels, extra)
    elif set(strides) == {VIT_STRIDE}:
        indices = [len(strides) - 1]
        pyramid = SimplePyramid(_width(network, indices[0]), channels, levels, extra)
    else:
        what = f"{trained.network} has maps of strides {', '.join(map(str, sorted(set(strides))))} only"
        raise ConfigError(what, trained.where, _REMEDY)
    made = PyramidBackbone(TimmMaps(freeze_batch_norm_2d(network), indices), pyramid, all_strides, channels)
    _try(made, trained)
    return made


def _try(backbone: PyramidBackbone, trained: Trained) -> None:
    """Raises ConfigError for a network that takes images of one size only."""
    try:
        with torch.inference_mode():
            for height, width in ((64, 96), (96, 64)):
                backbone(torch.zeros(1, 3, height, width))
    except (RuntimeError, AssertionError, ValueError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        what = f"{trained.network} does not take images of any size: {first[:200]}"
        raise ConfigError(what, trained.where, _REMEDY) from error


def at_any_size(trained: Trained) -> Trained:
    """Returns a model whose network takes images of any size: a ViT is built to resample its position embeddings for each
    batch; its weights are the same."""
    if not (trained.network or "").startswith(("vit_", "deit", "test_vit")):
        return trained
    return replace(trained, network_args={**trained.network_args, "dynamic_img_size": True})


def _strides_of(network: nn.Module, trained: Trained) -> list[int]:
    """Returns the stride of each stage. Raises ConfigError for a network that does not give its maps."""
    facts = getattr(network, "feature_info", None)
    if not hasattr(network, "forward_intermediates") or not isinstance(facts, list) or not facts:
        raise ConfigError(f"{trained.network} does not give maps of its stages", trained.where, _REMEDY)
    return [int(each["reduction"]) for each in facts]


def _width(network: Any, index: int) -> int:
    return int(network.feature_info[index]["num_chs"])
