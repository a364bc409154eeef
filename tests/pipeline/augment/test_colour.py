"""Tests colour operations of a batch against torchvision's functions for one image."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as one_picture

from tagmill.pipeline.augment import colour

FACTORS = torch.tensor([0.0, 0.3, 0.8, 1.0, 1.3, 1.9])


def pictures(count: int = 6, size: int = 24) -> torch.Tensor:
    """Returns smooth, noisy, grey, single-level and dark images, and ones of few levels."""
    draw = np.random.default_rng(count + size)
    noise = draw.integers(0, 256, (count, size, size, 3), np.uint8)
    noise[0] = np.linspace(0, 255, size * size * 3).reshape(size, size, 3)
    noise[2] = noise[2][..., :1]
    noise[3] = 77
    noise[4] //= 8
    noise[5] = noise[5] // 100 * 90
    return torch.from_numpy(noise).movedim(-1, 1).contiguous()


def compare(
    made: torch.Tensor, wanted: Callable[[int, torch.Tensor], torch.Tensor], source: torch.Tensor, share: float = 0.05
) -> None:
    """Checks that each image equals `wanted(row, image [3, s, s])`, with few differences of one level."""
    theirs = torch.stack([wanted(row, picture) for row, picture in enumerate(source)])
    off = (made.to(torch.int16) - theirs.to(torch.int16)).abs()
    assert made.dtype == torch.uint8 and made.shape == source.shape
    assert off.max() <= 1 and (off > 0).float().mean() <= share


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "sharpness"])
@pytest.mark.parametrize("size", [1, 2, 3, 24])
def test_each_image_has_its_own_factor(name: str, size: int) -> None:
    source = pictures(size=size)
    theirs: Any = getattr(one_picture, f"adjust_{name}")
    made = getattr(colour, name)(source, FACTORS)
    compare(made, lambda row, picture: theirs(picture, FACTORS[row].item()), source)


def test_each_image_has_its_own_hue_rotation() -> None:
    source, turns = pictures(), torch.tensor([-0.5, -0.2, 0.1, 0.3, 0.05, 0.5])
    compare(colour.hue(source, turns), lambda row, picture: one_picture.adjust_hue(picture, turns[row].item()), source)
    assert torch.equal(colour.hue(source, torch.zeros(6)), source)


@pytest.mark.parametrize("bits", [1, 4, 7, 8])
def test_posterise(bits: int) -> None:
    source = pictures()
    compare(colour.posterise(source, bits), lambda _, picture: one_picture.posterize(picture, bits), source)


@pytest.mark.parametrize("threshold", [0.0, 76.5, 178.5, 255.0])
def test_solarise(threshold: float) -> None:
    source = pictures()
    compare(colour.solarise(source, threshold), lambda _, picture: one_picture.solarize(picture, threshold), source)


@pytest.mark.parametrize("size", [1, 8, 24, 64])
def test_autocontrast_and_equalise(size: int) -> None:
    source = pictures(size=size)
    compare(colour.equalise(source), lambda _, picture: one_picture.equalize(picture), source, share=0.0)
    compare(colour.autocontrast(source), lambda _, picture: one_picture.autocontrast(picture), source)


def test_the_comparison_can_fail() -> None:
    source = pictures()
    with pytest.raises(AssertionError):
        compare(colour.brightness(source, FACTORS), lambda _, picture: picture, source)


def test_grey_is_the_exact_level_rounded_down() -> None:
    """Half of a ten-thousandth suffices for every level, as integer arithmetic shows: so devices agree."""
    levels = torch.arange(256)
    for red in (0, 100, 255):
        colours = torch.stack(torch.broadcast_tensors(torch.tensor(red), levels[:, None], levels[None])).to(torch.uint8)
        exact = (2989 * red + 5870 * levels[:, None] + 1140 * levels[None]) // 10_000
        assert torch.equal(colour.grey(colours[None])[0, 0].to(torch.int64), exact)
