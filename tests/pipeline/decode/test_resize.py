"""The compiled resize against torch's and Pillow's: the same bits, for every shape, with and without vector instructions."""

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

COMPILED = pytest.mark.skipif(not resize.resize_is_compiled(), reason="resample.c was not compiled")
BIT_EQUAL = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")  # torch's own fixed-point kernel
GUARD = 64  # values on both sides of a batch that nobody may touch
SIDES = st.integers(1, 300)


def window(height: int, width: int, seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def how(dtype: torch.dtype) -> Normalisation | None:
    return None if dtype == torch.uint8 else Normalisation(LoaderConfig.mean, LoaderConfig.std, dtype)


def filled(
    source: npt.NDArray[np.uint8], size: int, flip: bool, dtype: torch.dtype, *, simd: bool, shift: int = 0
) -> npt.NDArray[Any]:
    """One square by the compiled kernel, in the middle of three, `shift` values off its alignment."""
    memory = np.full(GUARD + shift + 3 * size * size * 3 + GUARD, 7, resize.MEMORY[dtype])
    batch = memory[GUARD + shift : -GUARD].reshape(3, size, size, 3)
    norm = how(dtype)
    scale, offset = norm.factors() if norm else ((1.0,) * 3, (0.0,) * 3)
    resize._compiled.fill(batch, size, resize.KINDS[dtype], [source], [1], [flip], scale, offset, simd)
    outside = np.concatenate([memory[: GUARD + shift], batch[0].ravel(), batch[2].ravel(), memory[-GUARD:]])
    assert (outside == 7).all(), "nothing but its square was written"
    return batch[1].copy()


def by_torch(source: npt.NDArray[np.uint8], size: int, flip: bool, dtype: torch.dtype) -> npt.NDArray[Any]:
    batch = np.zeros((1, size, size, 3), resize.MEMORY[dtype])
    resize._fill_with_torch(batch, [0], [source], [flip], how(dtype))
    return batch[0]  # type: ignore[no-any-return]


@COMPILED
@given(SIDES, SIDES, st.integers(1, 70), st.booleans(), st.booleans(), st.integers(0, 99))
def test_pixels_are_those_of_torch_and_pillow(
    height: int, width: int, size: int, flip: bool, simd: bool, seed: int
) -> None:
    source = window(height, width, seed)
    found = filled(source, size, flip, torch.uint8, simd=simd)
    pillow = np.asarray(Image.fromarray(source).resize((size, size), Image.Resampling.BILINEAR))
    # Pillow's weights have 22 binary places, which shows in the last bit of a window that is made much smaller.
    assert np.abs(found.astype(int) - (pillow[:, ::-1] if flip else pillow).astype(int)).max() <= 1
    if BIT_EQUAL:
        assert (found == by_torch(source, size, flip, torch.uint8)).all()


@COMPILED
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@given(SIDES, SIDES, st.integers(1, 40), st.booleans(), st.integers(0, 9))
def test_floats_are_its_pixels_normalised(
    dtype: torch.dtype, height: int, width: int, size: int, flip: bool, shift: int
) -> None:
    source = window(height, width, 1)
    plain, fast = (filled(source, size, flip, dtype, simd=simd, shift=shift) for simd in (False, True))
    assert (plain == fast).all(), "vector instructions change no bit"
    pixels = filled(source, size, flip, torch.uint8, simd=True)
    norm = how(dtype)
    assert norm is not None
    scale, offset = (np.array(factor, np.float32) for factor in norm.factors())
    wanted = torch.from_numpy(pixels * scale + offset).to(dtype)
    assert torch.equal(torch.from_numpy(fast).view(dtype), wanted)


@pytest.mark.parametrize("size", [224, 33])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_without_a_compiler_it_is_the_same(monkeypatch: pytest.MonkeyPatch, size: int, dtype: torch.dtype) -> None:
    windows = [window(60 + 31 * i, 250 - 17 * i, i) for i in range(5)]
    flips, answers = [False, True, True, False, True], []
    for compiled in (resize._compiled, None):
        monkeypatch.setattr(resize, "_compiled", compiled)
        batch = np.zeros((7, size, size, 3), resize.MEMORY[dtype])
        resize.fill(batch, [6, 0, 2, 3, 5], windows, flips, how(dtype))
        assert not batch[[1, 4]].any()
        answers.append(torch.from_numpy(batch).view(dtype).float())
    step = 1.0 / 57 if dtype != torch.uint8 else 1.0
    assert (answers[0] - answers[1]).abs().max() <= (0 if BIT_EQUAL else 1.01 * step)


@COMPILED
def test_what_does_not_fit_is_refused() -> None:
    batch, good = np.zeros((2, 8, 8, 3), np.uint8), window(5, 6, 0)
    ones, zeros = (1.0,) * 3, (0.0,) * 3
    for windows, rows, flips in (
        ([good], [2], [False]),
        ([good], [-1], [False]),
        ([good], [0, 1], [False]),
        ([good], [0], []),
        ([good[:, :, :2].copy()], [0], [False]),
        ([good[0]], [0], [False]),
        ([good[:0]], [0], [False]),
        ([good.astype(np.float32)], [0], [False]),
    ):
        with pytest.raises(ValueError, match=r"row|windows"):
            resize._compiled.fill(batch, 8, 0, windows, rows, flips, ones, zeros, True)
    with pytest.raises((ValueError, BufferError)):
        resize._compiled.fill(batch, 8, 0, [good[:, ::2]], [0], [False], ones, zeros, True)
    for size, kind in ((0, 0), (8, 3), (8, -1), (70_000, 0)):
        with pytest.raises(ValueError, match="size or kind"):
            resize._compiled.fill(batch, size, kind, [good], [0], [False], ones, zeros, True)
    with pytest.raises(TypeError):
        resize._compiled.fill(batch, 8, 0, [7], [0], [False], ones, zeros, True)
    assert not batch.any()


def test_setup_compiles_it_where_there_is_a_compiler() -> None:
    import shutil

    assert resize.resize_is_compiled() or shutil.which("cc") is None
