"""The seconds of a loop's steps and of its waits for batches, in bounded memory, with the interval of the waited share."""

import math
from dataclasses import dataclass

NOT_READY_SECONDS = (
    0.001  # a batch that is waited for longer was not ready: handing over a ready one takes some microseconds
)
MOST_BLOCKS = 32
LEAST_BLOCKS = 8  # below, an interval would say nothing
_T_FEW, _T = 2.36, 2.13  # Student's t for 95 %, with 7 and with 15 degrees of freedom
_FEW = 16


@dataclass(frozen=True)
class Waited:
    """The share of the time for which a loop waited: what was seen, and its 95 % interval, None after too few steps."""

    share: float
    low: float | None = None
    high: float | None = None


class StepTimes:
    """Sums over blocks of consecutive steps. A block has one step at first; when there are MOST_BLOCKS, each two become
    one. Waits come in bursts, so the interval takes the differences between blocks and not between steps."""

    def __init__(self) -> None:
        self.steps = 0
        self.late = 0
        """Steps that waited longer than NOT_READY_SECONDS."""
        self._length = 1  # steps of a block
        self._blocks: list[tuple[float, float]] = []  # (seconds, waited) of each whole block
        self._open = (0.0, 0.0)

    @property
    def seconds(self) -> float:
        """Seconds of all steps, with their waits."""
        return math.fsum([self._open[0], *(seconds for seconds, _ in self._blocks)])

    @property
    def waited(self) -> float:
        """Seconds of all waits."""
        return math.fsum([self._open[1], *(waited for _, waited in self._blocks)])

    def add(self, waited: float, worked: float) -> None:
        """Adds a step: its wait for a batch and its work with it, seconds."""
        self.steps += 1
        self.late += waited > NOT_READY_SECONDS
        self._open = self._open[0] + waited + worked, self._open[1] + waited
        if self.steps % self._length == 0:
            self._blocks.append(self._open)
            self._open = 0.0, 0.0
        if len(self._blocks) == MOST_BLOCKS:
            pairs = zip(self._blocks[::2], self._blocks[1::2], strict=True)
            self._blocks = [(one[0] + two[0], one[1] + two[1]) for one, two in pairs]
            self._length *= 2

    def waited_share(self) -> Waited:
        """Returns the share with its interval, by the jackknife over blocks (Efron 1982); 0 before the first step."""
        blocks, seconds, waited = self._blocks, self.seconds, self.waited
        share = waited / seconds if seconds > 0 else 0.0
        if len(blocks) < LEAST_BLOCKS or seconds <= 0:
            return Waited(share)
        without = [(waited - w) / (seconds - s) if seconds > s else share for s, w in blocks]
        mean = math.fsum(without) / len(blocks)
        spread = math.sqrt((len(blocks) - 1) / len(blocks) * math.fsum((one - mean) ** 2 for one in without))
        half = spread * (_T_FEW if len(blocks) < _FEW else _T)
        return Waited(share, max(0.0, share - half), min(1.0, share + half))
