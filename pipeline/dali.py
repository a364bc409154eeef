"""Decodes, crops, resizes and mirrors JPEGs with NVIDIA DALI, on a GPU or, without any, on the CPU. Its only door."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.utils.dlpack
from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline

from tagmill.pipeline.augment import Crops
from tagmill.shards.errors import TagmillError

Rows = npt.NDArray[np.int64]


class DaliBackend:
    """One DALI pipeline that is fed by hand, a batch at a time, so that nothing is in flight between two calls.

    A DALI pipeline is dead after any decoder error. The encoded bytes are still in the caller's hands then: the failing
    samples are found one by one, a new pipeline is built, and the rest is fed again.
    """

    def __init__(self, threads: int, device: str = "cpu") -> None:
        self._threads = threads
        self._device = torch.device(device)
        self._pipeline: Pipeline | None = None
        self._built_for = (0, 0)  # largest batch, size

    def decode(
        self, jpegs: Sequence[bytes | None], crops: Crops, size: int
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """See `tagmill.pipeline.backend.Backend.decode`. Raises TagmillError where DALI fails and no sample is to blame."""
        pixels = torch.zeros((len(jpegs), size, size, 3), dtype=torch.uint8, device=self._device)
        failed = np.zeros(len(jpegs), np.bool_)
        rows = np.array([row for row, jpeg in enumerate(jpegs) if jpeg], np.int64)
        failed[[row for row, jpeg in enumerate(jpegs) if jpeg == b""]] = True  # DALI takes no empty input
        try:
            self._run(jpegs, crops, rows, pixels)
        except RuntimeError as error:
            self._pipeline = None
            bad = self._find_failing(jpegs, crops, rows, pixels)
            if not len(bad):
                raise TagmillError(f"DALI failed: {error}", str(self._device), "use backend cpu") from error
            failed[bad] = True
        return pixels.permute(0, 3, 1, 2), failed

    def close(self) -> None:
        """Ends DALI's threads."""
        self._pipeline = None

    def _find_failing(self, jpegs: Sequence[bytes | None], crops: Crops, rows: Rows, pixels: torch.Tensor) -> Rows:
        """Feeds samples one by one and keeps the pixels of those that decode; the others' rows."""
        bad = []
        for row in rows:
            try:
                self._run(jpegs, crops, np.array([row]), pixels)
            except RuntimeError:
                self._pipeline = None
                bad.append(row)
        return np.array(bad, np.int64)

    def _run(self, jpegs: Sequence[bytes | None], crops: Crops, rows: Rows, pixels: torch.Tensor) -> None:
        """Decodes samples `rows` into the same rows of `pixels` [n, size, size, 3]."""
        if not len(rows):
            return
        size = pixels.shape[1]
        if self._pipeline is None or len(jpegs) > self._built_for[0] or size != self._built_for[1]:
            self._pipeline = self._build(len(jpegs), size)
            self._built_for = (len(jpegs), size)
        chosen = crops.take(rows)
        (images,) = self._pipeline.run(
            jpegs=[np.frombuffer(jpegs[row] or b"", np.uint8) for row in rows],
            anchor=np.stack([chosen.x, chosen.y], -1),
            shape=np.stack([chosen.width, chosen.height], -1),
            flip=chosen.flip.astype(np.int32),
        )
        # A copy, because DALI writes its next answer over this one.
        decoded = torch.utils.dlpack.from_dlpack(images.as_tensor())
        if len(rows) == len(pixels):
            pixels.copy_(decoded)
        else:
            pixels[torch.from_numpy(rows)] = decoded
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()

    def _build(self, batch_size: int, size: int) -> Pipeline:
        """JPEG bytes, windows and flips in; uint8 [n, size, size, 3] out."""
        on_gpu = self._device.type == "cuda"
        device_id = (self._device.index or 0) if on_gpu else None
        # A queue of one: `run` returns what it was just given.
        pipeline = Pipeline(batch_size, self._threads, device_id, prefetch_queue_depth=1)
        with pipeline:
            jpegs = fn.external_source(name="jpegs", dtype=types.UINT8, ndim=1)
            anchor = fn.external_source(name="anchor", dtype=types.INT32, ndim=1)
            shape = fn.external_source(name="shape", dtype=types.INT32, ndim=1)
            flip = fn.external_source(name="flip", dtype=types.INT32, ndim=0)
            images = fn.decoders.image_slice(
                jpegs,
                anchor,
                shape,
                device="mixed" if on_gpu else "cpu",
                axis_names="WH",
                normalized_anchor=False,
                normalized_shape=False,
                output_type=types.RGB,
                jpeg_fancy_upsampling=True,  # as Pillow does; on a GPU it costs little and keeps backends comparable
                adjust_orientation=False,  # stored pictures are upright, and Pillow does not turn them either
            )
            images = fn.resize(
                images, resize_x=size, resize_y=size, interp_type=types.INTERP_LINEAR, antialias=True, dtype=types.UINT8
            )
            pipeline.set_outputs(fn.flip(images, horizontal=flip, vertical=0))
        pipeline.build()
        return pipeline
