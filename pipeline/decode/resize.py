"""Resizes windows of images into rows of a batch and normalises pixels there, with torch's kernels on the CPU.

`libjpeg.c` does both while it decodes; this module serves JPEGs that `pillow.py` decodes, and batches whose pixels are
changed between decoding and normalising. The resize gives the bits of Pillow's bilinear filter on processors with AVX2;
on others values differ by up to one level.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.batch import Normalisation
from tagmill.shards.arrays import Pixels

KINDS = {None: 0, torch.float32: 1, torch.bfloat16: 2}  # what resize.c writes, as resize.h numbers it; None: uint8
MEMORY = {torch.uint8: np.uint8, torch.float32: np.float32, torch.bfloat16: np.uint16}  # numpy has no bfloat16

# The JPEG decoder itself shrinks by 2, 4 or 8 at no cost, but less sharply than the filter of the following resize.
# Leaving at least this factor to the filter keeps pixels within a few levels of a full decode.
LEFT_FOR_FILTER = 3


def fill(
    batch: npt.NDArray[Any],
    rows: Sequence[int],
    windows: Sequence[Pixels],
    flips: Sequence[bool],
    normalisation: Normalisation | None,
) -> None:
    """Fills `rows` of a batch [n, size, size, 3] of a type in MEMORY with windows, uint8 [height, width, 3], one a row.

    Resizes each to the square and mirrors those with a flip. Without a normalisation the batch is uint8. Several threads may
    fill rows of one batch.
    """
    size = batch.shape[1]
    resized, mirrored = (np.empty((1, size, size, 3), np.uint8) for _ in range(2))
    for row, window, flip in zip(rows, windows, flips, strict=True):
        square = resized if normalisation else batch[row : row + 1]
        target = mirrored if flip else square
        torch.ops.aten._upsample_bilinear2d_aa.out(
            _channels_first(window[None]), [size, size], False, None, None, out=_channels_first(target)
        )
        if flip:
            torch.ops.aten.flip.out(_channels_first(mirrored), [3], out=_channels_first(square))
        if normalisation:
            normalise_rows(batch, [row], square, normalisation)


def normalise_rows(
    batch: npt.NDArray[Any], rows: Sequence[int], pixels: Iterable[Pixels], normalisation: Normalisation
) -> None:
    """Fills `rows` of a batch of floats [n, size, size, 3] with normalised pixels (uint8 [size, size, 3], one a row).

    Every value is uint8 times a scale plus a shift, rounded after each step. Several threads may fill rows of one batch.
    """
    size = batch.shape[1]
    # Rows of pixels and not single pixels, since torch's inner loop is as long as the last dimension.
    scale, shift = (torch.tensor(factor, dtype=torch.float32).repeat(size) for factor in normalisation.factors())
    floats = torch.empty((size, 3 * size), dtype=torch.float32)
    for row, image in zip(rows, pixels, strict=True):
        target = torch.from_numpy(batch[row]).view(normalisation.dtype).view(size, 3 * size)
        made = target if normalisation.dtype == torch.float32 else floats
        made.copy_(torch.from_numpy(image).reshape(size, 3 * size)).mul_(scale).add_(shift)
        if made is floats:
            target.copy_(floats)


def _channels_first(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)
