"""Fills rows of a batch with windows of JPEGs that Pillow decodes (best: pillow-simd): those that `libjpeg.py` does
not."""

import io
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import Normalisation
from tagmill.pipeline.decode import resize
from tagmill.shards.arrays import Pixels

# Pillow's errors for a broken image. Any other error is a bug, and is not taken for a hole.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)


def fill_with_pillow(
    batch: npt.NDArray[Any],
    rows: Sequence[int],
    jpegs: Sequence[bytes],
    crops: Crops,
    normalisation: Normalisation | None,
    numbers: Iterable[int] | None = None,
) -> list[int]:
    """Fills rows as `tagmill.pipeline.decode.libjpeg.fill_with_libjpeg`. Pillow releases the GIL while it decodes.
    `numbers` are the indices of those to fill, for example turns that several threads share; None: all."""
    lost = list[int]()
    for number in range(len(rows)) if numbers is None else numbers:
        window = _window(jpegs[number], crops, number, batch.shape[1])
        if window is None:
            lost.append(rows[number])
        else:
            resize.fill(batch, [rows[number]], [window], [bool(crops.flip[number])], normalisation)
    batch[lost] = 0
    return lost


def _window(jpeg: bytes, crops: Crops, row: int, size: int) -> Pixels | None:
    x, y, width, height = (int(side[row]) for side in (crops.x, crops.y, crops.width, crops.height))
    try:
        image: Image.Image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
        if x < 0 or y < 0 or x + width > image.width or y + height > image.height:
            return None
        shrink = max(k for k in (1, 2, 4, 8) if k == 1 or min(width, height) >= k * resize.LEFT_FOR_FILTER * size)
        box = (x, y, x + width, y + height)
        if shrink > 1:
            full = image.size
            image.draft("RGB", (full[0] // shrink, full[1] // shrink))
            across, down = image.width / full[0], image.height / full[1]
            exact = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
            small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, exact)
        else:
            # The window is cut out first, so that the filter does not use pixels outside it, as in region decoders.
            small = image.convert("RGB").crop(box)
    except DECODE_ERRORS:
        return None
    return np.array(small)  # a copy, in memory of its own
