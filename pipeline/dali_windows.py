"""DALI's region decoder on the CPU: the windows of pictures, in groups, for the CPU backend to resize."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tagmill.pipeline.augment import Crops
from tagmill.pipeline.cpu import GROUP, TURNS, Coming, Jpegs
from tagmill.pipeline.dali import Inputs, Rows, check_blame, sorted_out, windows_pipeline

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
        self._pipelines: list[Any] = [None] * TURNS  # DALI's; None where one is to be built
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
            elif coming and (found := coming(0)):
                self._begun = self._begin(*found)
            try:
                windows = self._started(number).share_outputs()[0]
            except RuntimeError as error:
                self._pipelines[number % TURNS] = None
                alone = {row: self._alone(number, work, row) for row in group.tolist()}
                check_blame(list(alone.values()), error)
                yield group.tolist(), alone.__getitem__
            else:
                yield group.tolist(), _views(group, windows)
                self._started(number).release_outputs()

    def close(self) -> None:
        """Ends DALI's threads."""
        self._pipelines, self._begun = [None] * TURNS, None

    def _begin(self, jpegs: Jpegs, crops: Crops) -> "_Work":
        """Starts the first group of a batch, in the pipeline whose turn it is."""
        rows, refused = sorted_out(jpegs, crops)
        groups = [rows[first : first + GROUP] for first in range(0, len(rows), GROUP)]
        work = _Work(jpegs, crops, groups, refused, self._next)
        self._next += len(groups)
        if groups:
            self._start(work.first, work, groups[0])
        return work

    def _start(self, number: int, work: "_Work", rows: Rows) -> None:
        pipeline = self._pipelines[number % TURNS]
        if pipeline is None:
            pipeline = self._pipelines[number % TURNS] = windows_pipeline(GROUP, self._threads)
        for name, value in _inputs(work.jpegs, work.crops, rows).items():
            pipeline.feed_input(name, value)
        pipeline.schedule_run()

    def _started(self, number: int) -> Any:
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


def _views(rows: Rows, windows: Any) -> WindowOf:
    """What gives the window of a row, in DALI's memory."""
    places = {row: place for place, row in enumerate(rows.tolist())}
    return lambda row: np.asarray(windows[places[row]])


def _inputs(jpegs: Jpegs, crops: Crops, rows: Rows) -> Inputs:
    chosen = crops.take(rows)
    return {
        "jpegs": [np.frombuffer(jpegs[row] or b"", np.uint8) for row in rows.tolist()],
        "anchor": np.stack([chosen.x, chosen.y], -1),
        "shape": np.stack([chosen.width, chosen.height], -1),
    }
