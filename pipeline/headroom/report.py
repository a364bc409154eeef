"""What the waits of a loop say: how much faster it would run, and which rank waits longest."""

import math
import socket
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tagmill.pipeline.headroom.step_times import StepTimes

MUCH = 0.02  # a share of the time that is worth a look
FAR = 2.0  # a rank is slow if it waits that many times as long as the others do


@dataclass(frozen=True)
class RankWaits:
    """The waits of one rank."""

    rank: int
    host: str
    steps: int
    seconds: float  # of these steps, with their waits
    waited: float  # seconds
    late: int  # steps whose batch was not ready

    @property
    def share(self) -> float:
        """Share of the time that it waited."""
        return min(1.0, self.waited / self.seconds) if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class HeadroomReport:
    """How many times as fast the same loop would run without waits for batches: `speedup`, with a 95 % interval from
    `low` to `high`, which are None after too few steps. Infinite if a loop did nothing but wait."""

    steps: int
    seconds: float
    waited: float
    late: int
    speedup: float
    low: float | None
    high: float | None
    ranks: tuple[RankWaits, ...]  # of this process alone, or of all

    @classmethod
    def of(cls, times: StepTimes, rank: int) -> "HeadroomReport":
        """Returns the report of one process."""
        share = times.waited_share()
        low, high = (None if limit is None else speedup_of(limit) for limit in (share.low, share.high))
        own = RankWaits(rank, socket.gethostname(), times.steps, times.seconds, times.waited, times.late)
        return cls(own.steps, own.seconds, own.waited, own.late, speedup_of(share.share), low, high, (own,))

    @classmethod
    def of_ranks(cls, reports: Sequence["HeadroomReport"]) -> "HeadroomReport":
        """Returns one report of all ranks. Ranks that wait for each other in each step are as fast as the slowest: the
        figures are of the rank that waits longest. The true head-room is at least that, and more if different ranks wait in
        different steps."""
        slowest = max(reports, key=lambda one: (one.ranks[0].share, -one.ranks[0].rank))
        ranks = sorted((rank for one in reports for rank in one.ranks), key=lambda one: one.rank)
        return cls(**{**vars(slowest), "ranks": tuple(ranks)})

    def slow_rank(self) -> RankWaits | None:
        """Returns the rank that waits far longer for its batches than the others; None if none does."""
        if len(self.ranks) < 2:
            return None
        slowest = max(self.ranks, key=lambda one: one.share)
        others = statistics.median(one.share for one in self.ranks if one is not slowest)
        return slowest if slowest.share > max(MUCH, FAR * others) else None

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values for a log. An infinite value is None, because JSON has none."""
        found = asdict(self)
        for name in ("speedup", "low", "high"):
            if found[name] is not None and math.isinf(found[name]):
                found[name] = None
        return found

    def __str__(self) -> str:
        """Returns one sentence."""
        if not self.steps:
            return "no steps were measured yet"
        share = self.waited / self.seconds if self.seconds > 0 else 0.0
        if self.low is None or self.high is None:
            sure = "after too few steps to say how sure that is"
        else:
            sure = f"95 % interval {_times(self.low)} to {_times(self.high)}"
        text = (
            f"without waits for batches this loop would be {_times(self.speedup)} as fast ({sure}): in {self.steps:,} "
            f"steps it waited {share:.1%} of the time, and {self.late:,} batches were not ready"
        )
        if len(self.ranks) > 1:
            text += f"; {self._of_all()}"
        return text

    def _of_all(self) -> str:
        slow = self.slow_rank()
        if slow is None:
            shares = [one.share for one in self.ranks]
            return f"{len(self.ranks)} ranks wait alike, {min(shares):.1%} to {max(shares):.1%}"
        others = statistics.median(one.share for one in self.ranks if one is not slow)
        return (
            f"rank {slow.rank} on {slow.host} waits {slow.share:.1%} of the time and the other ranks {others:.1%}: look at "
            "that machine's cores, disk and network"
        )


def speedup_of(share: float) -> float:
    """Returns how many times as fast a loop is without waits that take this share of its time."""
    return 1 / (1 - share) if share < 1 else math.inf


def _times(speedup: float) -> str:
    return "without limit" if math.isinf(speedup) else f"{speedup:.2f} times"
