"""Resizes windows of pictures into their places of a batch, mirrored where they are to be, as uint8 or normalised floats.

`resample.c` does it in one pass a window, by `resize.c`, where it was compiled; else torch's kernel resizes and numpy
normalises. Both give the bits of Pillow's bilinear filter (torch on processors with AVX2; elsewhere a level apart).
"""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.batch import Normalisation
from tagmill.shards.arrays import Pixels

KINDS = {torch.uint8: 0, torch.float32: 1, torch.bfloat16: 2}  # as resize.h numbers them
MEMORY = {torch.uint8: np.uint8, torch.float32: np.float32, torch.bfloat16: np.uint16}  # numpy has no bfloat16

try:
    _compiled: Any = importlib.import_module("tagmill.pipeline.decode._resample")
except ImportError:
    _compiled = None


def resize_is_compiled() -> bool:
    """Whether resample.c was compiled when the package was installed."""
    return _compiled is not None


def written(normalisation: Normalisation | None) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    """What resize.c writes: the number of its kind, and what pixels are multiplied by and what is added."""
    if normalisation is None:
        return KINDS[torch.uint8], (1.0,) * 3, (0.0,) * 3
    return KINDS[normalisation.dtype], *normalisation.factors()


def fill(
    batch: npt.NDArray[Any],
    rows: list[int],
    windows: list[Pixels],
    flips: list[bool],
    normalisation: Normalisation | None,
) -> None:
    """Fills `rows` of a batch [n, size, size, 3], as MEMORY holds it, with windows (uint8 [height, width, 3], each row's own).
    Without a normalisation the batch is uint8. Several threads may fill rows of one batch."""
    if _compiled is None:
        _fill_with_torch(batch, rows, windows, flips, normalisation)
        return
    kind, scale, shift = written(normalisation)
    _compiled.fill(batch, batch.shape[1], kind, windows, rows, flips, scale, shift, True)


def _fill_with_torch(
    batch: npt.NDArray[Any],
    rows: Sequence[int],
    windows: Sequence[Pixels],
    flips: Sequence[bool],
    normalisation: Normalisation | None,
) -> None:
    size = batch.shape[1]
    resized, mirrored = (np.empty((1, size, size, 3), np.uint8) for _ in range(2))
    floats = np.empty((size, size, 3), np.float32)
    for row, window, flip in zip(rows, windows, flips, strict=True):
        square = resized if normalisation else batch[row : row + 1]
        target = mirrored if flip else square
        torch.ops.aten._upsample_bilinear2d_aa.out(
            _channels_first(window[None]), [size, size], False, None, None, out=_channels_first(target)
        )
        if flip:
            torch.ops.aten.flip.out(_channels_first(mirrored), [3], out=_channels_first(square))
        if normalisation:
            scale, shift = (np.array(factor, np.float32) for factor in normalisation.factors())
            np.multiply(square[0], scale, out=floats)
            np.add(floats, shift, out=floats)
            torch.from_numpy(batch[row]).view(normalisation.dtype).copy_(torch.from_numpy(floats))


def _channels_first(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)
