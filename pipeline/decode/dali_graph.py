"""NVIDIA DALI's pipelines, for a GPU or the CPU with the same code: the only module that imports DALI.

A decoder error ends a pipeline. `dali.py` still has the encoded bytes: it finds the failing samples one by one, builds
a new pipeline and feeds the rest again.
"""

import io
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.utils.dlpack
from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline
from nvidia.dali.tensors import TensorCPU
from PIL import Image

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.decode.cpu import Jpegs
from tagmill.pipeline.decoding import Decoding
from tagmill.pipeline.read.jpeg_header import frame_size
from tagmill.shards.errors import TagmillError

Rows = npt.NDArray[np.int64]
Inputs = dict[str, Any]

# Side of the black image in place of one that is not decoded: as large as stored images, so that a hardware decoder
# accepts it.
PLACEHOLDER_SIDE = 256


class Graph:
    """Decodes, crops, resizes and flips batches on a GPU, or on the CPU if `device_id` is None. Holds up to
    `decoding.depth` batches at a time and returns them in the order of their start. Used by one thread."""

    def __init__(self, batch_size: int, threads: int, device_id: int | None, decoding: Decoding) -> None:
        """Builds the pipeline and runs placeholders through it. Raises RuntimeError if DALI does."""
        self.batch_size = batch_size  # largest number of images
        self._decoding = decoding
        self._device_id = device_id
        self._pipeline = _whole_graph(batch_size, threads, device_id, decoding)
        # The first run of a pipeline is `depth` runs at once, which would wait for that many batches. And they are full
        # batches, because from the first one DALI's codec computes once how many images the hardware decoder gets.
        zero = np.zeros(batch_size, np.int32)
        nothing = self.inputs([None] * batch_size, Crops(zero, zero, zero, zero, zero > 0), PLACEHOLDER_SIDE, zero == 0)
        for _ in range(decoding.depth):
            self._feed(nothing)
        self._pipeline.schedule_run()
        for _ in range(decoding.depth):
            self.drop()

    def inputs(self, jpegs: Jpegs, crops: Crops, size: int, left_out: npt.NDArray[np.bool_]) -> Inputs:
        """Returns the inputs of a batch of images with sides of `size` pixels; they must live until the batch is
        collected. Rows that are `left_out` get a placeholder, so that batches keep their length and DALI its memory."""
        anchor = np.where(left_out[:, None], 0, np.stack([crops.x, crops.y], -1)).astype(np.int32)
        shape = np.stack([crops.width, crops.height], -1)
        shape = np.where(left_out[:, None], PLACEHOLDER_SIDE, shape).astype(np.int32)
        pictures = [placeholder() if out else (jpeg or b"") for jpeg, out in zip(jpegs, left_out.tolist(), strict=True)]
        # Given arrays, `feed_input` would convert them to these, in twice the time.
        found: Inputs = {"jpegs": [TensorCPU(picture, "") for picture in pictures]}
        if not _is_whole(self._decoding):
            found |= {"anchor": anchor, "shape": shape}
        else:  # in reverse order: resize takes height first
            found["start"] = anchor[:, ::-1].astype(np.float32)
            found["end"] = (anchor + shape)[:, ::-1].astype(np.float32)
        found["size"] = np.full(len(jpegs), size, np.float32)
        return found | {"flip": (crops.flip & ~left_out).astype(np.int32)}

    def start(self, inputs: Inputs) -> None:
        """Starts a batch without waiting for it. Raises RuntimeError if the pipeline has failed already."""
        self._feed(inputs)
        self._pipeline.schedule_run()

    def drop(self) -> None:
        """Waits for the oldest batch and discards it."""
        self._pipeline.share_outputs()
        self._pipeline.release_outputs()

    def collect(self) -> torch.Tensor:
        """Returns the images of the oldest batch, uint8 [n, size, size, 3], in DALI's own memory, which stays valid as
        long as the tensor lives; on a GPU for torch's current stream. Raises RuntimeError if one of them cannot be
        decoded."""
        stream = None if self._device_id is None else torch.cuda.current_stream(self._device_id)
        (found,) = self._pipeline.share_outputs(stream)
        pixels: torch.Tensor = torch.utils.dlpack.from_dlpack(found.as_tensor())
        self._pipeline.release_outputs()
        return pixels

    def _feed(self, inputs: Inputs) -> None:
        for name, value in inputs.items():
            self._pipeline.feed_input(name, value)


def _whole_graph(batch_size: int, threads: int, device_id: int | None, decoding: Decoding) -> Pipeline:
    """Builds the graph: inputs are JPEG bytes, windows, sizes and flips, outputs images [size, size, 3]."""
    pipeline = Pipeline(batch_size, threads, device_id, prefetch_queue_depth=decoding.depth)
    target = {"interp_type": types.INTERP_LINEAR, "antialias": True}
    with pipeline:
        size = _source("size", types.FLOAT, 0)  # an input, so that it may differ from batch to batch
        target |= {"resize_x": size, "resize_y": size}
        jpegs = _source("jpegs", types.UINT8, 1, no_copy=decoding.share_bytes)
        if not _is_whole(decoding):
            images = _region(jpegs, device_id, decoding)
        else:
            images = fn.decoders.image(jpegs, **_decoder(device_id, decoding))
            edges = {"roi_start": _source("start", types.FLOAT, 1), "roi_end": _source("end", types.FLOAT, 1)}
            target |= {**edges, "roi_relative": False}
        images = fn.resize(images, **target, dtype=types.UINT8)
        pipeline.set_outputs(fn.flip(images, horizontal=_source("flip", types.INT32, 0), vertical=0))
    pipeline.build()
    return pipeline


def _is_whole(decoding: Decoding) -> bool:
    """Returns whether images are decoded whole, and their windows resized."""
    return decoding.window in ("cut", "full")


def _region(jpegs: Any, device_id: int | None, decoding: Decoding) -> Any:
    return fn.decoders.image_slice(
        jpegs,
        _source("anchor", types.INT32, 1),
        _source("shape", types.INT32, 1),
        axis_names="WH",
        normalized_anchor=False,
        normalized_shape=False,
        **_decoder(device_id, decoding),
    )


def _decoder(device_id: int | None, decoding: Decoding) -> dict[str, Any]:
    """Returns the arguments of both decoders. On a GPU the device is `mixed`: bytes on the host, images on the device."""
    common = {
        "device": "cpu" if device_id is None else "mixed",
        "output_type": types.RGB,
        "jpeg_fancy_upsampling": decoding.fancy_upsampling,
        "adjust_orientation": False,  # stored images are upright, and Pillow does not rotate them either
    }
    return common if device_id is None else common | {"hw_decoder_load": decoding.hw_decoder_load}


def _source(name: str, dtype: Any, ndim: int, *, no_copy: bool = False) -> Any:
    return fn.external_source(name=name, dtype=dtype, ndim=ndim, no_copy=no_copy)


@cache
def placeholder() -> bytes:
    """Returns a black JPEG of PLACEHOLDER_SIDE pixels a side."""
    file = io.BytesIO()
    Image.new("RGB", (PLACEHOLDER_SIDE, PLACEHOLDER_SIDE)).save(file, "JPEG")
    return file.getvalue()


def split_decodable(jpegs: Jpegs, crops: Crops) -> tuple[Rows, Rows]:
    """Returns the rows that DALI may decode, and those that it must not: no JPEG, or one that does not contain its
    window."""
    fits: tuple[list[int], list[int]] = ([], [])
    rights, lowers = (crops.x + crops.width).tolist(), (crops.y + crops.height).tolist()
    inside = ((crops.x >= 0) & (crops.y >= 0)).tolist()
    for row, jpeg in enumerate(jpegs):
        if jpeg is not None:
            size = frame_size(jpeg)
            refused = size is None or not inside[row] or rights[row] > size[0] or lowers[row] > size[1]
            fits[refused].append(row)
    return np.array(fits[False], np.int64), np.array(fits[True], np.int64)


def check_same_failure(found: Sequence[object], error: RuntimeError) -> None:
    """Raises TagmillError unless at least one of the samples that failed as a batch failed again when fed one by one."""
    if all(decoded is not None for decoded in found):
        raise TagmillError(
            f"DALI failed: {error}", "loader", "lower threads or batch_size, or use another backend"
        ) from error
