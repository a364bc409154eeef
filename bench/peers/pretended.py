"""A pretended decoder: it takes encoded batches and the time of a GPU, and no processor time."""

import ctypes
import time

TRIPS = 32  # calls a batch that release the GIL, about as many as DALI and torch need for one


class Pretended:
    """Takes `rate` images/s, or any number if that is 0; it holds at most two batches at a time."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._done = 0.0  # time at which the pretended work ends
        self._call = ctypes.CDLL(None).getpid
        self.waited = 0.0  # seconds of waiting for the GIL
        self.trips = 0  # calls that released the GIL

    def take(self, count: int) -> None:
        """Takes a batch, and waits until it can take another."""
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
        """Returns counters for `stopwatch.run`."""
        return {"lock_waited_seconds": self.waited, "lock_trips": self.trips}
