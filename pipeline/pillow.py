"""Decodes windows of JPEGs with Pillow (best: pillow-simd), one at a time: for machines without DALI."""

import io
import struct
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from tagmill.pipeline.augment import Crops

# What Pillow raises for a broken picture. Anything else is a bug, and is not taken for a hole.
UNDECODABLE = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)

# The JPEG decoder itself shrinks by 2, 4 or 8 for nothing, but less sharply than the filter of the resize that follows;
# leaving that filter at least this factor keeps pixels within a few levels of a full decode.
LEFT_FOR_FILTER = 3

Jpegs = Sequence[bytes | None]
Pixels = npt.NDArray[np.uint8]
Group = tuple[Sequence[int], Callable[[int], Pixels | None]]


class PillowWindows:
    """See `tagmill.pipeline.cpu.WindowDecoder`. All the work is in the calls, which threads share: Pillow releases the
    interpreter lock while it decodes."""

    def groups(self, jpegs: Jpegs, crops: Crops, size: int, coming: object = None) -> Iterator[Group]:
        """One group: every picture is decoded when it is asked for, and nothing before."""
        rows = [row for row, jpeg in enumerate(jpegs) if jpeg is not None]
        yield rows, lambda row: _window(jpegs[row] or b"", crops, row, size)

    def close(self) -> None:
        """Nothing runs in the background."""


def _window(jpeg: bytes, crops: Crops, row: int, size: int) -> Pixels | None:
    x, y, width, height = (int(side[row]) for side in (crops.x, crops.y, crops.width, crops.height))
    try:
        image: Image.Image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
        if x < 0 or y < 0 or x + width > image.width or y + height > image.height:
            return None
        shrink = max(k for k in (1, 2, 4, 8) if k == 1 or min(width, height) >= k * LEFT_FOR_FILTER * size)
        box = (x, y, x + width, y + height)
        if shrink > 1:
            full = image.size
            image.draft("RGB", (full[0] // shrink, full[1] // shrink))
            across, down = image.width / full[0], image.height / full[1]
            exact = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
            small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, exact)
        else:
            # The window is cut out first, so that the filter does not look beyond it: as region decoders do.
            small = image.convert("RGB").crop(box)
    except UNDECODABLE:
        return None
    return np.array(small)  # a copy, in memory of its own
