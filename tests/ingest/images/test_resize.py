"""Every mode gives exactly the promised sizes, and the pixels of plain Pillow."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images.resize import Shape, crop_or_pad, resample, target_shape

MODES = ["keep_ratio", "keep_ratio_largest", "center_crop", "border", "no"]
SIDES = st.integers(1, 3000)


def policy(resize: Any, size: int = 256, only_if_bigger: bool = True) -> ImagePolicy:
    return ImagePolicy(size, 90, 1, 1 << 40, resize=resize, only_if_bigger=only_if_bigger)


@given(SIDES, SIDES, st.integers(8, 600), st.sampled_from(MODES), st.booleans())
def test_sides(width: int, height: int, size: int, mode: str, only_if_bigger: bool) -> None:
    got = target_shape(width, height, policy(mode, size, only_if_bigger))
    by = {"keep_ratio": min, "center_crop": min, "keep_ratio_largest": max, "border": max}.get(mode)
    if by is None or (only_if_bigger and by(width, height) <= size):
        assert got == Shape((width, height), (width, height))
        return
    scale = Fraction(size, by(width, height))
    assert by(got.scaled) == size
    for mine, original in zip(got.scaled, (width, height), strict=True):
        assert mine >= 1 and (abs(mine - original * scale) <= Fraction(1, 2) or mine == 1)
    assert got.stored == ((size, size) if mode in ("center_crop", "border") else got.scaled)


@given(SIDES, SIDES, st.integers(8, 600), st.sampled_from(MODES), st.booleans())
def test_a_picture_on_its_side_gets_the_same_sides(w: int, h: int, size: int, mode: str, only_if_bigger: bool) -> None:
    """So an image may be scaled before it is rotated."""
    upright, turned = (target_shape(*sides, policy(mode, size, only_if_bigger)) for sides in ((w, h), (h, w)))
    assert (turned.scaled[::-1], turned.stored[::-1]) == (upright.scaled, upright.stored)


@pytest.mark.parametrize(
    ("mode", "only_if_bigger", "wanted"),
    [
        ("keep_ratio", True, [(341, 256), (200, 100), (256, 512)]),
        ("keep_ratio", False, [(341, 256), (512, 256), (256, 512)]),
        ("keep_ratio_largest", True, [(256, 192), (200, 100), (128, 256)]),
        ("keep_ratio_largest", False, [(256, 192), (256, 128), (128, 256)]),
        ("center_crop", True, [(256, 256), (200, 100), (256, 512)]),
        ("center_crop", False, [(256, 256), (256, 256), (256, 256)]),
        ("border", True, [(256, 256), (200, 100), (256, 256)]),
        ("border", False, [(256, 256), (256, 256), (256, 256)]),
        ("no", True, [(640, 480), (200, 100), (256, 512)]),
    ],
)
def test_as_img2dataset_does_it(mode: str, only_if_bigger: bool, wanted: list[tuple[int, int]]) -> None:
    """resize_only_if_bigger leaves an image without crop and border there too, so only without it are all images square."""
    got = [
        target_shape(*sides, policy(mode, 256, only_if_bigger)).stored for sides in ((640, 480), (200, 100), (256, 512))
    ]
    assert got == wanted


def test_halves_are_rounded_up() -> None:
    assert target_shape(512, 513, policy("keep_ratio")).scaled == (256, 257)  # 256.5
    assert target_shape(512, 515, policy("keep_ratio")).scaled == (256, 258)  # 257.5


def test_the_filters() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))
    assert resample(noise, (40, 30)) is noise
    assert resample(noise, (20, 15)) == noise.resize((20, 15), Image.Resampling.BOX)
    place = (0.0, 0.0, 38.5, 29.25)
    assert resample(noise, (20, 15), place) == noise.resize((20, 15), Image.Resampling.BOX, place)
    assert resample(noise, (80, 60)) == noise.resize((80, 60), Image.Resampling.LANCZOS)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_frames(width: int, height: int, size: int) -> None:
    """The image is centred, the odd pixel is at the right and bottom, and the border is white."""
    pixels = np.arange(width * height * 3, dtype=np.uint32).reshape(height, width, 3).astype(np.uint8) // 2
    across = min if width >= size and height >= size else max  # a cut, or a border
    wanted = (size, size) if across is min else (max(width, size), max(height, size))
    got = np.asarray(crop_or_pad(Image.fromarray(pixels), wanted))
    assert got.shape == (wanted[1], wanted[0], 3)
    left, top = abs(width - wanted[0]) // 2, abs(height - wanted[1]) // 2
    if across is min:
        assert (got == pixels[top : top + size, left : left + size]).all()
        return
    assert (got[top : top + height, left : left + width] == pixels).all()
    outside = np.ones(got.shape[:2], bool)
    outside[top : top + height, left : left + width] = False
    assert (got[outside] == 255).all()
