"""Makes whole batches with DALI: on a GPU, or on the CPU, where its graph is tested."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import Mix, Normalisation, normalise, sent
from tagmill.pipeline.decode import compiled_normalise
from tagmill.pipeline.decode.cpu import Coming, Jpegs
from tagmill.pipeline.decode.cut import cut_windows
from tagmill.pipeline.decode.dali_graph import (
    PLACEHOLDER_SIDE,
    Graph,
    Inputs,
    check_same_failure,
    placeholder,
    split_decodable,
)
from tagmill.pipeline.decoding import Decoding
from tagmill.shards.arrays import Bools
from tagmill.shards.errors import TagmillError


@dataclass(frozen=True, eq=False, slots=True)
class _Batch:
    """A batch that was fed to DALI, with everything needed to feed it again."""

    jpegs: Jpegs  # as asked for: the batch is known by them
    crops: Crops
    fed: tuple[Jpegs, Crops]  # what DALI gets: the same, or cut to the windows
    size: int
    refused: Bools  # [n], rows that must not be fed to DALI
    inputs: Inputs

    @property
    def given(self) -> Bools:
        """Rows that DALI decodes."""
        return np.array([jpeg is not None for jpeg in self.jpegs]) & ~self.refused


class DaliBackend:
    """Runs one DALI pipeline for the whole graph. While one batch is awaited, the next ones are in the pipeline
    already. Their bytes are kept until they are returned, so an error in one batch costs the others only time."""

    on_device = True

    def __init__(self, threads: int, device: str = "cpu", decoding: Decoding | None = None) -> None:
        self._threads = threads
        self._decoding = decoding or Decoding()
        self._device = torch.device(device)
        self._device_id = (self._device.index or 0) if self._device.type == "cuda" else None
        self._graph: Graph | None = None
        self._in_flight: deque[_Batch] = deque()  # started and not collected, in order
        self._dead: RuntimeError | None = None  # the error that ended the pipeline while a batch was started

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, Bools]:
        """See `tagmill.pipeline.decode.backend.Backend.decode`. On a GPU the images belong to torch's current stream.

        Raises TagmillError if DALI fails and no sample is the cause.
        """
        first = self._in_flight[0] if self._in_flight else None
        if first and (first.jpegs is not jpegs or first.crops is not crops or first.size != size):
            self._drop_in_flight()
        if not self._in_flight:
            self._start(jpegs, crops, size)
        self._fill(coming, 1)
        pixels, failed = self._next()
        self._fill(coming, 0)  # here, so that DALI stays busy while this batch is delivered
        whole = np.array([jpeg is not None for jpeg in jpegs]) & ~failed
        return self._delivered(pixels, whole, how), failed

    def begin(self, coming: Coming, how: Normalisation | None) -> None:
        """Starts the next batches, as far as they are known; `how` is for the delivery."""
        self._fill(coming, 0)

    def wake(self) -> None:
        """Does nothing: batches are started when one is asked for."""

    def seconds(self) -> None:
        """Returns None: DALI tells no times of single images."""

    def normalise(
        self, images: torch.Tensor, valid: torch.Tensor, how: Normalisation, mix: Mix | None = None
    ) -> torch.Tensor:
        """See `tagmill.pipeline.decode.backend.Backend.normalise`."""
        run = compiled_normalise.compiled_normalise if self._decoding.fused else normalise
        return run(images, valid, how, mix)

    def share(self, rows: Bools, work: Callable[[Bools], None]) -> None:
        """See `tagmill.pipeline.decode.backend.Backend.share`: a device gets all rows at once."""
        work(rows)

    def failure(self) -> str:
        """Decodes one small image as a test and returns the error; empty if there is none."""
        side = np.full(1, PLACEHOLDER_SIDE, np.int32)
        try:
            _, failed = self.decode([placeholder()], Crops(side - side, side - side, side, side, side < 0), 8)
        except TagmillError as error:
            return str(error)
        finally:
            self.close()
        return "DALI fails on a valid image" if failed.any() else ""

    def close(self) -> None:
        """Ends DALI's threads."""
        self._graph = None
        self._dead = None
        self._in_flight.clear()

    def _fill(self, coming: Coming | None, given: int) -> None:
        """Starts the next batches, as far as they are known, until `depth` are in flight; the caller has `given` of
        those in flight already."""
        while (
            coming and len(self._in_flight) < self._decoding.depth and (found := coming(len(self._in_flight) - given))
        ):
            self._start(*found)

    def _start(self, jpegs: Jpegs, crops: Crops, size: int) -> None:
        """Appends a batch to those in flight. An error in it is raised when the batch is due."""
        graph = self._graph_for(len(jpegs))
        refused = np.zeros(len(jpegs), np.bool_)
        refused[split_decodable(jpegs, crops)[1]] = True
        left_out = refused | np.array([jpeg is None for jpeg in jpegs])
        # A cut takes about 7 us of this thread, which otherwise waits for DALI, and DALI has other batches meanwhile.
        fed = cut_windows(jpegs, crops) if self._decoding.window == "cut" else (jpegs, crops)
        batch = _Batch(jpegs, crops, fed, size, refused, graph.inputs(*fed, size, left_out))
        self._in_flight.append(batch)
        self._send(graph, batch)

    def _send(self, graph: Graph, batch: _Batch) -> None:
        if self._dead is None:
            try:
                graph.start(batch.inputs)
            except RuntimeError as error:
                self._dead = error

    def _graph_for(self, count: int) -> Graph:
        """Returns the pipeline; builds a new one if there is none, or it is too small for `count` images."""
        graph = self._graph
        if graph is None or count > graph.batch_size:
            waiting, self._dead = list(self._in_flight), None
            try:
                graph = self._graph = Graph(count, self._threads, self._device_id, self._decoding)
            except RuntimeError as error:
                remedy = "lower batch_size or threads, or use backend cpu"
                raise TagmillError(f"DALI cannot start on {self._device}: {error}", "loader", remedy) from error
            for batch in waiting:
                self._send(graph, batch)
        return graph

    def _next(self) -> tuple[torch.Tensor, Bools]:
        """Returns the images of the oldest batch in flight, [n, size, size, 3], and the mask of failures."""
        batch, graph = self._in_flight[0], self._graph
        try:
            if self._dead is not None or graph is None:
                raise self._dead or RuntimeError("no pipeline")
            pixels, failed = graph.collect(), batch.refused.copy()
        except RuntimeError as error:
            _, *waiting = self._in_flight
            self._in_flight.clear()
            self._graph = None
            self._dead = None
            pixels, failed = self._retry(batch, error)
            graph = self._graph_for(max(len(each.jpegs) for each in (batch, *waiting)))
            for each in waiting:
                self._in_flight.append(each)
                self._send(graph, each)
        else:
            self._in_flight.popleft()
        return pixels, failed

    def _retry(self, batch: _Batch, error: RuntimeError) -> tuple[torch.Tensor, Bools]:
        """Decodes a failed batch again without others in the pipeline: first whole, because another batch may have
        caused the error, then image by image."""
        failed, given = batch.refused.copy(), np.flatnonzero(batch.given)
        if (pixels := self._decode_rows(batch, np.arange(len(batch.jpegs)))) is not None:
            return pixels, failed
        pixels = torch.zeros((len(batch.jpegs), batch.size, batch.size, 3), dtype=torch.uint8, device=self._device)
        found = [self._decode_rows(batch, given[index : index + 1]) for index in range(len(given))]
        check_same_failure(found, error)
        for row, decoded in zip(given.tolist(), found, strict=True):
            if decoded is None:
                failed[row] = True
            else:
                pixels[row] = decoded[0]
        return pixels, failed

    def _decode_rows(self, batch: _Batch, rows: npt.NDArray[np.int64]) -> torch.Tensor | None:
        """Decodes some rows of a batch without others, [rows, size, size, 3]; returns None if one of them fails, which
        ends the pipeline."""
        graph = self._graph_for(len(batch.jpegs))
        jpegs, crops = batch.fed
        chosen = [jpegs[row] for row in rows.tolist()]
        inputs = graph.inputs(chosen, crops.take(rows), batch.size, ~batch.given[rows])
        try:
            graph.start(inputs)
            return graph.collect()
        except RuntimeError:
            self._graph = None
            return None

    def _drop_in_flight(self) -> None:
        """Discards the batches in flight. They must leave the pipeline before others can enter."""
        while self._in_flight and self._graph is not None and self._dead is None:
            self._in_flight.popleft()
            try:
                self._graph.collect()
            except RuntimeError as error:
                self._dead = error
        if self._dead is not None:
            self._graph = None
            self._dead = None
        self._in_flight.clear()

    def _delivered(self, pixels: torch.Tensor, whole: Bools, how: Normalisation | None) -> torch.Tensor:
        """Returns images [n, 3, size, size] of DALI's pixels. On a GPU they are in torch's own memory, because DALI may
        reuse its memory before a stream unknown to it has read the images. Normalised images are new anyway; uint8
        images are copied on the device."""
        images = pixels.permute(0, 3, 1, 2)
        if how:
            images = self.normalise(images, sent(whole, self._device), how)
        elif not whole.all():
            pixels.mul_(sent(whole, self._device).view(-1, 1, 1, 1))
        if self._device_id is not None:
            images = images if how else images.clone()
            read = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # this thread sleeps until then
            read.record(torch.cuda.current_stream(self._device_id))
            read.synchronize()
        return images
