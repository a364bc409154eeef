"""Decodes, crops, resizes and mirrors JPEGs with Pillow (best: pillow-simd) in threads; the backend that runs anywhere."""

import io
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from tagmill.pipeline.augment import Crops

# What Pillow raises for a broken picture. Anything else is a bug, and is not taken for a hole.
UNDECODABLE = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)

# The JPEG decoder itself shrinks by 2, 4 or 8 for nothing, but less sharply than the filter of the resize that follows;
# leaving that filter at least this factor keeps pixels within a few levels of a full decode.
LEFT_FOR_FILTER = 3


class CpuBackend:
    """Threads on host memory. Pillow releases the interpreter lock while it decodes and resizes."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tagmill-decode")

    def decode(
        self, jpegs: Sequence[bytes | None], crops: Crops, size: int
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """See `tagmill.pipeline.backend.Backend.decode`."""
        pixels = torch.zeros((len(jpegs), size, size, 3), dtype=torch.uint8)
        failed = np.zeros(len(jpegs), np.bool_)
        out = pixels.numpy()

        def decode_every(first: int) -> None:
            for row in range(first, len(jpegs), self._threads):
                jpeg = jpegs[row]
                if jpeg is not None:
                    failed[row] = not _decode_one(jpeg, crops, row, out[row])

        list(self._pool.map(decode_every, range(min(self._threads, len(jpegs)))))
        return pixels.permute(0, 3, 1, 2), failed

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)


def _decode_one(jpeg: bytes, crops: Crops, row: int, out: npt.NDArray[np.uint8]) -> bool:
    """Writes window `row` of a picture into `out` [size, size, 3]; False where the bytes do not hold that picture."""
    x, y, width, height = (int(side[row]) for side in (crops.x, crops.y, crops.width, crops.height))
    size = len(out)
    try:
        image: Image.Image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
        if x < 0 or y < 0 or x + width > image.width or y + height > image.height:
            return False
        shrink = max(k for k in (1, 2, 4, 8) if k == 1 or min(width, height) >= k * LEFT_FOR_FILTER * size)
        if shrink > 1:
            full = image.size
            image.draft("RGB", (full[0] // shrink, full[1] // shrink))
            across, down = image.width / full[0], image.height / full[1]
            box = (x * across, y * down, (x + width) * across, (y + height) * down)
            small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, box)
        else:
            # The window is cut out first, so that the filter does not look beyond it: as region decoders do.
            window = image.convert("RGB").crop((x, y, x + width, y + height))
            small = window.resize((size, size), Image.Resampling.BILINEAR)
    except UNDECODABLE:
        return False
    if crops.flip[row]:
        small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    out[:] = np.asarray(small)
    return True
