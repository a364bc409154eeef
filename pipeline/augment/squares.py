"""Windows of images that are resized to a square without regard to their ratio, as BiT fine-tunes and judges."""

import numpy as np

from tagmill.pipeline.augment.draws import CROP, FLIP, Crops, uniforms
from tagmill.shards.arrays import Int32s, Int64s


def square_crops(
    seed: int,
    epoch: int | Int64s,
    positions: Int64s,
    widths: Int32s,
    heights: Int32s,
    share: float,
    *,
    flipped: bool = True,
) -> Crops:
    """Draws the windows and flips of images at `positions` (int64 [n]) of `widths` x `heights` pixels, of one `epoch` or one
    for each (int64 [n]): each is what a random square crop keeps of the image after it was resized to a square, where `share`
    (above 0, at most 1) is the side of the crop to the side of the resized image (Kolesnikov et al. 2019).

    A window has `share` of the width and of the height, rounded to whole pixels, and every place is equally likely. Half of
    the images are flipped left to right, none if not `flipped`."""
    across, down, _, _ = uniforms(seed, epoch, positions, CROP, 1)[:, 0]
    width, height = (np.maximum(1.0, np.rint(sides * share)) for sides in (widths, heights))
    x, y = np.floor(across * (widths - width + 1.0)), np.floor(down * (heights - height + 1.0))
    flip = (uniforms(seed, epoch, positions, FLIP, 1)[0, 0] < 0.5) & flipped
    return Crops(
        x.astype(np.int32), y.astype(np.int32), width.astype(np.int32), height.astype(np.int32), flip.astype(np.bool_)
    )


def whole_images(widths: Int32s, heights: Int32s, share: float = 1.0) -> Crops:
    """Returns the windows of whole images of `widths` x `heights` pixels, or their centres: `share` (above 0, at most 1) of the
    width and of the height, rounded to whole pixels."""
    width, height = (np.maximum(1.0, np.rint(sides * share)).astype(np.int32) for sides in (widths, heights))
    x, y = (widths - width) // 2, (heights - height) // 2
    return Crops(x.astype(np.int32), y.astype(np.int32), width, height, np.zeros(len(widths), np.bool_))
