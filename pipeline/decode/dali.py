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
from tagmill.pipeline.decode.dali_graph import PLACEHOLDER_SIDE, Graph, Inputs, check_blame, placeholder, sorted_out
from tagmill.pipeline.decoding import Decoding
from tagmill.shards.arrays import Bools
from tagmill.shards.errors import TagmillError


@dataclass(frozen=True, eq=False, slots=True)
class _Fed:
    """A batch that DALI was given, with all that is needed to give it once more."""

    jpegs: Jpegs
    crops: Crops
    size: int
    refused: Bools  # [n], what DALI must not see
    inputs: Inputs

    @property
    def given(self) -> Bools:
        """Rows that DALI decodes."""
        return np.array([jpeg is not None for jpeg in self.jpegs]) & ~self.refused


class DaliBackend:
    """One DALI pipeline of the whole graph. While a batch is waited for, those that come next are in it already; their bytes
    are kept until they are returned, so that an error in one of them costs the others nothing but time."""

    on_device = True

    def __init__(self, threads: int, device: str = "cpu", decoding: Decoding | None = None) -> None:
        self._threads, self._decoding = threads, decoding or Decoding()
        self._device = torch.device(device)
        self._device_id = (self._device.index or 0) if self._device.type == "cuda" else None
        self._graph: Graph | None = None
        self._flight: deque[_Fed] = deque()  # started and not collected, in order
        self._dead: RuntimeError | None = None  # what ended the pipeline while a batch was started

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, Bools]:
        """See `tagmill.pipeline.decode.backend.Backend.decode`. On a GPU the images are for torch's current stream.

        Raises TagmillError where DALI fails and no sample is to blame."""
        first = self._flight[0] if self._flight else None
        if first and (first.jpegs is not jpegs or first.crops is not crops or first.size != size):
            self._give_up()
        if not self._flight:
            self._start(jpegs, crops, size)
        self._fill(coming, 1, size)
        pixels, failed = self._next()
        self._fill(coming, 0, size)  # now, so that DALI has as much to do as it takes while this batch is handed over
        whole = np.array([jpeg is not None for jpeg in jpegs]) & ~failed
        return self._handed_over(pixels, whole, how), failed

    def normalise(
        self, images: torch.Tensor, valid: torch.Tensor, how: Normalisation, mix: Mix | None = None
    ) -> torch.Tensor:
        """See `tagmill.pipeline.decode.backend.Backend.normalise`."""
        by = compiled_normalise.compiled_normalise if self._decoding.fused else normalise
        return by(images, valid, how, mix)

    def share(self, rows: Bools, work: Callable[[Bools], None]) -> None:
        """See `tagmill.pipeline.decode.backend.Backend.share`: a device is asked for all rows at once."""
        work(rows)

    def failure(self) -> str:
        """Tries the decoder on one small picture, and says what went wrong; empty where nothing did."""
        side = np.full(1, PLACEHOLDER_SIDE, np.int32)
        try:
            _, failed = self.decode([placeholder()], Crops(side - side, side - side, side, side, side < 0), 8)
        except TagmillError as error:
            return str(error)
        finally:
            self.close()
        return "DALI fails on a picture that is whole" if failed.any() else ""

    def close(self) -> None:
        """Ends DALI's threads."""
        self._graph, self._dead = None, None
        self._flight.clear()

    def _fill(self, coming: Coming | None, given: int, size: int) -> None:
        """Starts what comes next, as far as it is known, until `depth` batches are in flight; `given` of those in flight are
        what the caller has already."""
        while coming and len(self._flight) < self._decoding.depth and (found := coming(len(self._flight) - given)):
            self._start(*found, size)

    def _start(self, jpegs: Jpegs, crops: Crops, size: int) -> None:
        """Puts a batch behind those in flight. What is wrong with it is said when its turn has come."""
        graph = self._fitting(len(jpegs), size)
        refused = np.zeros(len(jpegs), np.bool_)
        refused[sorted_out(jpegs, crops)[1]] = True
        left_out = refused | np.array([jpeg is None for jpeg in jpegs])
        fed = _Fed(jpegs, crops, size, refused, graph.inputs(jpegs, crops, left_out))
        self._flight.append(fed)
        self._send(graph, fed)

    def _send(self, graph: Graph, fed: _Fed) -> None:
        if self._dead is None:
            try:
                graph.start(fed.inputs)
            except RuntimeError as error:
                self._dead = error

    def _fitting(self, count: int, size: int) -> Graph:
        """The pipeline; a new one where there is none, or not for so many pictures of this size."""
        graph = self._graph
        if graph is None or count > graph.batch_size or size != graph.size:
            waiting, self._dead = list(self._flight), None
            try:
                graph = self._graph = Graph(count, size, self._threads, self._device_id, self._decoding)
            except RuntimeError as error:
                remedy = "lower batch_size or threads, or use backend cpu"
                raise TagmillError(f"DALI cannot begin on {self._device}: {error}", "loader", remedy) from error
            for fed in waiting:
                self._send(graph, fed)
        return graph

    def _next(self) -> tuple[torch.Tensor, Bools]:
        """The pictures of the oldest batch in flight, [n, size, size, 3], and which failed."""
        fed, graph = self._flight[0], self._graph
        try:
            if self._dead is not None or graph is None:
                raise self._dead or RuntimeError("no pipeline")
            pixels, failed = graph.collect(), fed.refused.copy()
        except RuntimeError as error:
            _, *waiting = self._flight
            self._flight.clear()
            self._graph, self._dead = None, None
            pixels, failed = self._once_more(fed, error)
            graph = self._fitting(max(len(each.jpegs) for each in (fed, *waiting)), fed.size)
            for each in waiting:
                self._flight.append(each)
                self._send(graph, each)
        else:
            self._flight.popleft()
        return pixels, failed

    def _once_more(self, fed: _Fed, error: RuntimeError) -> tuple[torch.Tensor, Bools]:
        """A batch that failed, alone in the pipeline: whole, as another's error may have been the reason, then one by one."""
        failed, given = fed.refused.copy(), np.flatnonzero(fed.given)
        if (pixels := self._alone(fed, np.arange(len(fed.jpegs)))) is not None:
            return pixels, failed
        pixels = torch.zeros((len(fed.jpegs), fed.size, fed.size, 3), dtype=torch.uint8, device=self._device)
        found = [self._alone(fed, given[place : place + 1]) for place in range(len(given))]
        check_blame(found, error)
        for row, decoded in zip(given.tolist(), found, strict=True):
            if decoded is None:
                failed[row] = True
            else:
                pixels[row] = decoded[0]
        return pixels, failed

    def _alone(self, fed: _Fed, rows: npt.NDArray[np.int64]) -> torch.Tensor | None:
        """Some rows of a batch by themselves, [rows, size, size, 3]; None where one of them fails, and the pipeline with it."""
        graph = self._fitting(len(fed.jpegs), fed.size)
        jpegs = [fed.jpegs[row] for row in rows.tolist()]
        inputs = graph.inputs(jpegs, fed.crops.take(rows), ~fed.given[rows])
        try:
            graph.start(inputs)
            return graph.collect()
        except RuntimeError:
            self._graph = None
            return None

    def _give_up(self) -> None:
        """What is in flight is nobody's any more. It comes out before anything else can go in."""
        while self._flight and self._graph is not None and self._dead is None:
            self._flight.popleft()
            try:
                self._graph.collect()
            except RuntimeError as error:
                self._dead = error
        if self._dead is not None:
            self._graph, self._dead = None, None
        self._flight.clear()

    def _handed_over(self, pixels: torch.Tensor, whole: Bools, how: Normalisation | None) -> torch.Tensor:
        """Images [n, 3, size, size] of DALI's pixels. On a GPU they are in torch's own memory: there DALI may use its memory
        again before a stream that it does not know has read it. Normalised ones are new anyway; uint8 ones are copied on the
        device."""
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
