"""How many chunks are read at the same time: by Little's law, the rate of chunks times the latency of one."""

import math
from typing import NamedTuple

SLACK = 1.5  # readers for each chunk in flight on average: latencies differ, and a block begins with many chunks
LEAST = 4  # readers, however fast the store is
WAITED = 0.02  # share of the time that batches wait for reads, from which on other numbers are tried
GAIN = 1.25  # factor by which twice the readers must raise the rate to be kept: it is up to 2, and rates vary
KEPT_RATE = 0.92  # factor of the rate that half the readers must keep
HELD = 30  # intervals without another trial after one that failed
SHORTEST = 1e-6  # seconds of an interval that says something
SHRINK = 0.5  # of the readers that an interval leaves at least


class Trial(NamedTuple):
    """A number of readers that is tried: twice or half of `before`, which had the rate `rate`."""

    doubled: bool
    before: int
    rate: float


class ReaderSize:
    """The number of readers from `first` to `most`; fixed if these are equal.

    If batches are taken at the rate r (chunks/s) and a chunk takes the latency l (s), then r x l chunks are in flight on
    average. While batches wait for reads, the rate is that of the readers. So their number is doubled for as long as
    this raises the rate; where processor or network are the limit it does not, and the number is halved for as long as
    the rate stays, because each reader costs processor time. Not thread-safe.
    """

    def __init__(self, first: int, most: int) -> None:
        self.size = first
        """The present number."""
        self.latency = 0.0
        """Seconds of a chunk in the last interval."""
        self._least, self._most = (first, first) if first == most else (min(LEAST, first), most)
        self._trial: Trial | None = None
        self._held = 0

    @property
    def is_fixed(self) -> bool:
        return self._least == self._most

    def update(self, chunks: int, seconds: float, latency: float, waited: float) -> None:
        """Sets the number after an interval of `seconds` in which `chunks` were read, each in `latency` seconds on
        average, and batches waited `waited` seconds for reads."""
        self.latency = latency
        if self.is_fixed or chunks == 0 or seconds < SHORTEST:
            return
        rate, trial = chunks / seconds, self._trial
        self._trial, self._held = None, max(0, self._held - 1)
        if waited < WAITED * seconds:
            wanted = math.ceil(min(SLACK * rate * latency, self._most))
            self._set(max(wanted, math.floor(SHRINK * self.size)))
        elif trial is None:
            if not self._held:
                self._try(Trial(True, self.size, rate))
        elif trial.doubled:
            gained = rate >= GAIN * trial.rate
            self._try(Trial(True, self.size, rate) if gained else Trial(False, trial.before, trial.rate))
        elif rate >= KEPT_RATE * trial.rate:
            self._try(Trial(False, self.size, trial.rate))
        else:
            self._set(trial.before)
            self._held = HELD

    def _try(self, trial: Trial) -> None:
        self._set(2 * trial.before if trial.doubled else trial.before // 2)
        if self.size == trial.before:  # a bound
            self._held = HELD
        else:
            self._trial = trial

    def _set(self, size: int) -> None:
        self.size = min(self._most, max(self._least, size))
