"""How many chunks are read at the same time: by Little's law, the rate of chunks times the latency of one."""

import math

SLACK = 2.0  # readers for each chunk in flight on average: latencies differ, and a block begins with many chunks
LEAST = 4  # readers, however fast the store is
WAITED = 0.02  # share of the time that batches wait for reads, from which on more readers are tried
GAIN = 1.1  # factor by which twice the readers must raise the rate, or there are as few as before
HELD = 30  # intervals without another trial after one that gained too little
SHRINK = 0.75  # of the readers that an interval leaves at least


class ReaderSize:
    """The number of readers from `first` to `most`; fixed if these are equal.

    If batches are taken at the rate r (chunks/s) and a chunk takes the latency l (s), then r x l chunks are in flight on
    average. While batches wait for reads, the rate is that of the readers, so their number is doubled for as long as
    this raises the rate: where processor or network are the limit it does not. Not thread-safe.
    """

    def __init__(self, first: int, most: int) -> None:
        self.size = first
        """The present number."""
        self.latency = 0.0
        """Seconds of a chunk in the last interval."""
        self._least, self._most = (first, first) if first == most else (min(LEAST, first), most)
        self._tried: tuple[int, float] | None = None  # readers and rate before the last doubling
        self._held = 0

    @property
    def is_fixed(self) -> bool:
        return self._least == self._most

    def update(self, chunks: int, seconds: float, latency: float, waited: float) -> None:
        """Sets the number after an interval of `seconds` in which `chunks` were read, each in `latency` seconds on
        average, and batches waited `waited` seconds for reads."""
        self.latency = latency
        if self.is_fixed or chunks == 0 or seconds <= 0:
            return
        rate, tried = chunks / seconds, self._tried
        self._tried, self._held = None, max(0, self._held - 1)
        if waited < WAITED * seconds:
            wanted = math.ceil(SLACK * rate * latency)
            self._set(max(wanted, math.floor(SHRINK * self.size)))
        elif tried is not None and rate < GAIN * tried[1]:
            self._set(tried[0])
            self._held = HELD
        elif not self._held:
            before = self.size
            self._set(2 * self.size)
            self._tried = (before, rate) if self.size > before else None

    def _set(self, size: int) -> None:
        self.size = min(self._most, max(self._least, size))
