"""Decodes JPEGs with NVIDIA DALI: the whole graph on a GPU (or, to be tested, on the CPU), or only the windows on the CPU.
Its only door.

A DALI pipeline is dead after any decoder error. The encoded bytes are still in the caller's hands then: the failing samples
are found one by one, a new pipeline is built, and the rest is fed again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.utils.dlpack
from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline

from tagmill.pipeline.augment import Crops
from tagmill.pipeline.batch import Normalisation, normalise
from tagmill.pipeline.cpu import GROUP, TURNS, Coming, Jpegs
from tagmill.pipeline.jpeg import frame_size
from tagmill.shards.errors import TagmillError

Rows = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]
WindowOf = Callable[[int], Pixels | None]


@dataclass(frozen=True, eq=False, slots=True)
class _Work:
    """A batch whose windows are decoded in groups, and how many groups there were before its first."""

    jpegs: Jpegs
    crops: Crops
    groups: list[Rows]
    refused: Rows
    first: int


class DaliWindows:
    """See `tagmill.pipeline.cpu.WindowDecoder`. Two pipelines take turns: one decodes the next group, of this batch or of the
    next, while the caller works on what the other decoded."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pipelines: list[Pipeline | None] = [None] * TURNS
        self._begun: _Work | None = None  # the batch that is coming
        self._next = 0  # number of the next group

    def groups(
        self, jpegs: Jpegs, crops: Crops, size: int, coming: Coming | None = None
    ) -> Iterator[tuple[Sequence[int], WindowOf]]:
        """See `WindowDecoder.groups`. Raises TagmillError where DALI fails and no sample is to blame."""
        if self._begun and self._begun.jpegs is not jpegs:
            self.close()  # a pipeline is at work on what is not wanted
        work = self._begun or self._begin(jpegs, crops)
        self._begun = None
        if len(work.refused):
            yield work.refused.tolist(), lambda row: None
        done = False
        try:
            yield from self._groups(work, coming)
            done = True
        finally:
            if not done:  # what is in flight is nobody's any more
                self.close()

    def _groups(self, work: "_Work", coming: Coming | None) -> Iterator[tuple[Sequence[int], WindowOf]]:
        for number, group in enumerate(work.groups, work.first):
            if group is not work.groups[-1]:
                self._start(number + 1, work, work.groups[number + 1 - work.first])
            elif coming and (found := coming()):
                self._begun = self._begin(*found)
            try:
                windows = self._started(number).share_outputs()[0]
            except RuntimeError as error:
                self._pipelines[number % TURNS] = None
                alone = {row: self._alone(number, work, row) for row in group.tolist()}
                _check_blame(list(alone.values()), error)
                yield group.tolist(), alone.__getitem__
            else:
                yield group.tolist(), _views(group, windows)
                self._started(number).release_outputs()

    def close(self) -> None:
        """Ends DALI's threads."""
        self._pipelines, self._begun = [None] * TURNS, None

    def _begin(self, jpegs: Jpegs, crops: Crops) -> "_Work":
        """Starts the first group of a batch, in the pipeline whose turn it is."""
        rows, refused = _sorted_out(jpegs, crops)
        groups = [rows[first : first + GROUP] for first in range(0, len(rows), GROUP)]
        work = _Work(jpegs, crops, groups, refused, self._next)
        self._next += len(groups)
        if groups:
            self._start(work.first, work, groups[0])
        return work

    def _start(self, number: int, work: "_Work", rows: Rows) -> None:
        pipeline = self._pipelines[number % TURNS]
        if pipeline is None:
            pipeline = self._pipelines[number % TURNS] = _build(GROUP, self._threads, None, None)
        for name, value in _inputs(work.jpegs, work.crops, rows).items():
            pipeline.feed_input(name, value)
        pipeline.schedule_run()

    def _started(self, number: int) -> Pipeline:
        pipeline = self._pipelines[number % TURNS]
        assert pipeline is not None, "it was fed"
        return pipeline

    def _alone(self, number: int, work: "_Work", row: int) -> Pixels | None:
        """A copy of one window, after its group's pipeline has died; None where it fails again."""
        try:
            self._start(number, work, np.array([row]))
            window = np.array(self._started(number).share_outputs()[0][0])
            self._started(number).release_outputs()
        except RuntimeError:
            self._pipelines[number % TURNS] = None
            return None
        return window


class DaliBackend:
    """One DALI pipeline of the whole graph, fed by hand, a batch at a time: nothing is in flight between two calls."""

    def __init__(self, threads: int, device: str = "cpu") -> None:
        self._threads = threads
        self._device = torch.device(device)
        self._pipeline: Pipeline | None = None
        self._built_for = (0, 0)  # largest batch, size

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """See `tagmill.pipeline.backend.Backend.decode`. Raises TagmillError where DALI fails and no sample is to blame."""
        pixels = torch.zeros((len(jpegs), size, size, 3), dtype=torch.uint8, device=self._device)
        failed = np.zeros(len(jpegs), np.bool_)
        rows, refused = _sorted_out(jpegs, crops)
        failed[refused] = True
        try:
            self._run(jpegs, crops, rows, pixels)
        except RuntimeError as error:
            self._pipeline = None
            found = [self._alone(jpegs, crops, row, pixels) for row in rows.tolist()]
            _check_blame(found, error)
            failed[rows[[decoded is None for decoded in found]]] = True
        images = pixels.permute(0, 3, 1, 2)
        if how:
            whole = np.array([jpeg is not None for jpeg in jpegs]) & ~failed
            images = self.normalise(images, torch.from_numpy(whole).to(self._device), how)
        return images, failed

    def normalise(self, images: torch.Tensor, valid: torch.Tensor, how: Normalisation) -> torch.Tensor:
        """See `tagmill.pipeline.backend.Backend.normalise`."""
        return normalise(images, valid, how)

    def share(self, rows: npt.NDArray[np.bool_], work: Callable[[npt.NDArray[np.bool_]], None]) -> None:
        """See `tagmill.pipeline.backend.Backend.share`: a device is asked for all rows at once."""
        work(rows)

    def close(self) -> None:
        """Ends DALI's threads."""
        self._pipeline = None

    def _alone(self, jpegs: Jpegs, crops: Crops, row: int, pixels: torch.Tensor) -> torch.Tensor | None:
        try:
            self._run(jpegs, crops, np.array([row]), pixels)
        except RuntimeError:
            self._pipeline = None
            return None
        return pixels[row]

    def _run(self, jpegs: Jpegs, crops: Crops, rows: Rows, pixels: torch.Tensor) -> None:
        """Decodes samples `rows` into the same rows of `pixels` [n, size, size, 3]."""
        if not len(rows):
            return
        size = pixels.shape[1]
        if self._pipeline is None or len(jpegs) > self._built_for[0] or size != self._built_for[1]:
            device_id = (self._device.index or 0) if self._device.type == "cuda" else None
            self._pipeline = _build(len(jpegs), self._threads, device_id, size)
            self._built_for = (len(jpegs), size)
        (images,) = self._pipeline.run(**_inputs(jpegs, crops, rows), flip=crops.flip[rows].astype(np.int32))
        # A copy, because DALI writes its next answer over this one.
        decoded = torch.utils.dlpack.from_dlpack(images.as_tensor())
        if len(rows) == len(pixels):
            pixels.copy_(decoded)
        else:
            pixels[torch.from_numpy(rows)] = decoded
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()


def _sorted_out(jpegs: Jpegs, crops: Crops) -> tuple[Rows, Rows]:
    """The rows that DALI may be given, and those that it must not: no JPEG, or one that does not hold its window."""
    fits: tuple[list[int], list[int]] = ([], [])
    rights, lowers = (crops.x + crops.width).tolist(), (crops.y + crops.height).tolist()
    inside = ((crops.x >= 0) & (crops.y >= 0)).tolist()
    for row, jpeg in enumerate(jpegs):
        if jpeg is not None:
            size = frame_size(jpeg)
            refused = size is None or not inside[row] or rights[row] > size[0] or lowers[row] > size[1]
            fits[refused].append(row)
    return np.array(fits[False], np.int64), np.array(fits[True], np.int64)


def _check_blame(found: Sequence[object], error: RuntimeError) -> None:
    """Of samples that failed together and then were fed one by one, at least one must have failed again."""
    if all(decoded is not None for decoded in found):
        raise TagmillError(
            f"DALI failed: {error}", "loader", "lower threads or batch_size, or use another backend"
        ) from error


def _views(rows: Rows, windows: Any) -> WindowOf:
    """What gives the window of a row, in DALI's memory."""
    places = {row: place for place, row in enumerate(rows.tolist())}
    return lambda row: np.asarray(windows[places[row]])


def _inputs(jpegs: Jpegs, crops: Crops, rows: Rows) -> dict[str, Any]:
    chosen = crops.take(rows)
    return {
        "jpegs": [np.frombuffer(jpegs[row] or b"", np.uint8) for row in rows.tolist()],
        "anchor": np.stack([chosen.x, chosen.y], -1),
        "shape": np.stack([chosen.width, chosen.height], -1),
    }


def _build(batch_size: int, threads: int, device_id: int | None, size: int | None) -> Pipeline:
    """JPEG bytes and windows in; out come the windows as uint8 [h, w, 3], or where `size` is given, with flips among the
    inputs, pictures of [size, size, 3]."""
    pipeline = Pipeline(batch_size, threads, device_id, prefetch_queue_depth=1)
    with pipeline:
        images = fn.decoders.image_slice(
            fn.external_source(name="jpegs", dtype=types.UINT8, ndim=1, no_copy=device_id is None),
            fn.external_source(name="anchor", dtype=types.INT32, ndim=1),
            fn.external_source(name="shape", dtype=types.INT32, ndim=1),
            device="cpu" if device_id is None else "mixed",
            axis_names="WH",
            normalized_anchor=False,
            normalized_shape=False,
            output_type=types.RGB,
            jpeg_fancy_upsampling=True,  # as Pillow does; on a GPU it costs little and keeps backends comparable
            adjust_orientation=False,  # stored pictures are upright, and Pillow does not turn them either
        )
        if size is not None:
            flip = fn.external_source(name="flip", dtype=types.INT32, ndim=0)
            images = fn.resize(
                images, resize_x=size, resize_y=size, interp_type=types.INTERP_LINEAR, antialias=True, dtype=types.UINT8
            )
            images = fn.flip(images, horizontal=flip, vertical=0)
        pipeline.set_outputs(images)
    pipeline.build()
    return pipeline
