"""Decodes images that are in no corpus, as the loader does for an evaluation, or in windows of the caller's choice."""

from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np

from tagmill.pipeline.augment.draws import EVAL_SHARE, Crops, eval_crops
from tagmill.pipeline.augment.squares import whole_images
from tagmill.pipeline.batch import Batch
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode.backend import choose
from tagmill.pipeline.read.jpeg_header import frame_size, is_whole
from tagmill.shards.arrays import Int32s

Windows = Callable[[Int32s, Int32s], Crops]
"""Chooses the windows of n images by their widths and heights, int32 [n]; 1 x 1 for what is not a JPEG."""


class ImageDecoder:
    """Makes batches of JPEGs: the centre of each, or a window, resized to squares, on the CPU. Not for several threads at
    once."""

    def __init__(
        self, size: int, share: float = EVAL_SHARE, threads: int | None = None, *, squeezed: bool = False
    ) -> None:
        """`size`: pixels of a side. `share`: side of the crop to the short side of the image. `threads`: decoding threads;
        None: the cores of this process. `squeezed`: the crop has `share` of both sides of the image, and becomes a square."""
        self._size = size
        self._centres: Windows = (
            partial(whole_images, share=share) if squeezed else partial(eval_crops, size=size, share=share)
        )
        self._backend = choose(LoaderConfig(backend="cpu", device="cpu", size=size, threads=threads))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def decode(
        self, jpegs: Sequence[bytes | None], windows: Windows | None = None, labels: Sequence[Int32s] | None = None
    ) -> Batch:
        """Decodes n complete JPEGs to a batch of uint8 images [n, 3, size, size]: what `windows` chooses, by default their
        centres. `valid` is False, and the image zero, for None and for what cannot be decoded; these have none of the
        `labels` (ids of each image; by default no image has one)."""
        sizes = [(jpeg is not None and is_whole(jpeg) and frame_size(jpeg)) or None for jpeg in jpegs]
        given = [jpeg if size else None for jpeg, size in zip(jpegs, sizes, strict=True)]
        widths, heights = np.array([size or (1, 1) for size in sizes], np.int32).reshape(-1, 2).T
        crops = (windows or self._centres)(widths, heights)
        images, failed = self._backend.decode(given, crops, self._size)
        valid = ~failed & np.array([jpeg is not None for jpeg in given], np.bool_)
        count, none = len(jpegs), np.empty(0, np.int32)
        ids = [row if ok else none for row, ok in zip(labels or [none] * count, valid.tolist(), strict=True)]
        return Batch.of(images, ids, valid, count, np.zeros((count, 16), np.uint8), np.arange(count, dtype=np.int64))

    def close(self) -> None:
        """Ends the decoding threads."""
        self._backend.close()
