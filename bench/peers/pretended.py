"""A decoder that is pretended: it takes encoded batches and so much time, as a GPU does, and nothing of the processor."""

import ctypes
import time

TRIPS = 32  # calls a batch that give the interpreter's lock away, about as many as DALI and torch are asked for one


class Pretended:
    """Takes `rate` images/s, or as many as it is given where that is 0; two batches may be with it at a time."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._done = 0.0  # time at which the pretended work ends
        self._call = ctypes.CDLL(None).getpid
        self.waited = 0.0  # seconds for the lock
        self.trips = 0  # calls that gave the lock away

    def take(self, count: int) -> None:
        """Gives it a batch, and waits until it can be given another."""
        begun = time.perf_counter()
        for _ in range(TRIPS):
            self._call()
        now = time.perf_counter()
        self.waited += now - begun
        self.trips += TRIPS
        if self._rate:
            ahead = self._done - now
            self._done = max(self._done, now) + count / self._rate
            if ahead > 0:
                time.sleep(ahead)

    def totals(self) -> dict[str, float]:
        """Counters for `stopwatch.run`."""
        return {"lock_waited_seconds": self.waited, "lock_trips": self.trips}
