"""Finds the side of a batch's images: a function of seed, epoch and turn, so that all ranks and resumed runs agree."""

import numpy as np

from tagmill.pipeline.augment.draws import SIZE, uniforms
from tagmill.pipeline.sizes import ProgressiveSize, Size, VariedSize


def side_of(size: Size, seed: int, begin: tuple[int, int], progress: float) -> int:
    """Returns the side in pixels of the images of the global batch that begins at `begin`, (epoch, turn). `progress` is
    the number of epochs before it, with the part of its own."""
    if isinstance(size, VariedSize):
        epoch, turn = begin
        draw = uniforms(seed, epoch, np.array([turn], np.int64), SIZE, 1)[0, 0, 0]
        return size.sides[int(draw * len(size.sides))]
    if isinstance(size, ProgressiveSize):
        part = min(progress / size.epochs, 1.0)  # tiny `epochs` must not overflow
        return size.sides[min(int(part * len(size.sides)), len(size.sides) - 1)]
    return size
