"""Tests resizing and normalising with torch's kernels: Pillow's pixels, and floats that are rounded after each step."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagmill.pipeline.batch import Normalisation
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode import resize

SIDES = st.integers(1, 300)
FLOATS = [torch.float32, torch.bfloat16]


def window(height: int, width: int, seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def how(dtype: torch.dtype) -> Normalisation:
    return Normalisation(LoaderConfig.mean, LoaderConfig.std, dtype)


def filled(
    source: npt.NDArray[np.uint8], size: int, flip: bool, normalisation: Normalisation | None = None
) -> npt.NDArray[Any]:
    """Resizes into the middle one of three rows."""
    batch = np.full((3, size, size, 3), 7, resize.MEMORY[normalisation.dtype if normalisation else torch.uint8])
    resize.fill(batch, [1], [source], [flip], normalisation)
    assert (batch[[0, 2]] == 7).all(), "no other row is written"
    return batch[1].copy()


@given(SIDES, SIDES, st.integers(1, 70), st.booleans(), st.integers(0, 99))
def test_pixels_equal_pillows(height: int, width: int, size: int, flip: bool, seed: int) -> None:
    source = window(height, width, seed)
    pillow = np.asarray(Image.fromarray(source).resize((size, size), Image.Resampling.BILINEAR))
    # Pillow's weights have 22 binary places, which shows in the last bit of a window that is reduced strongly.
    apart = np.abs(filled(source, size, flip).astype(int) - (pillow[:, ::-1] if flip else pillow).astype(int))
    assert apart.max() <= 1


@pytest.mark.parametrize("dtype", FLOATS)
@given(SIDES, SIDES, st.integers(1, 40), st.booleans())
def test_floats_are_the_pixels_normalised(dtype: torch.dtype, height: int, width: int, size: int, flip: bool) -> None:
    source, norm = window(height, width, 1), how(dtype)
    scale, shift = (np.array(factor, np.float32) for factor in norm.factors())
    wanted = torch.from_numpy(filled(source, size, flip) * scale + shift).to(dtype)
    assert torch.equal(torch.from_numpy(filled(source, size, flip, norm)).view(dtype), wanted)


@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_are_normalised_in_place(dtype: torch.dtype) -> None:
    pixels, norm = np.stack([window(33, 33, seed) for seed in range(3)]), how(dtype)
    batch = np.zeros((5, 33, 33, 3), resize.MEMORY[dtype])
    resize.normalise_rows(batch, [4, 0, 2], [pixels[0], pixels[1].transpose(1, 0, 2), pixels[2]], norm)
    assert not batch[[1, 3]].any()
    scale, shift = (np.array(factor, np.float32) for factor in norm.factors())
    sources = np.stack([pixels[1].transpose(1, 0, 2), pixels[2], pixels[0]])
    wanted = torch.from_numpy(sources * scale + shift).to(dtype)
    assert torch.equal(torch.from_numpy(batch[[0, 2, 4]]).view(dtype), wanted)


def test_there_are_as_many_rows_as_windows() -> None:
    batch, good = np.zeros((2, 8, 8, 3), np.uint8), window(5, 6, 0)
    with pytest.raises(ValueError, match="zip"):
        resize.fill(batch, [0, 1], [good], [False], None)
    with pytest.raises(ValueError, match="zip"):
        resize.normalise_rows(np.zeros((2, 5, 5, 3), np.float32), [0, 1], [window(5, 5, 0)], how(torch.float32))
