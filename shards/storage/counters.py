"""Counts the requests of this process to remote stores and to its node's cache, for meters and tests."""

import threading
from collections import Counter


class StoreCounters:
    """Thread-safe counters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Counter[str]()

    def add(self, **counts: int) -> None:
        """Adds to counters by name."""
        with self._lock:
            self._counts.update(counts)

    def counts(self) -> Counter[str]:
        """Returns all counters so far.

        `retries` are tries after a failed one; `hedges` second requests for late answers; `cache_bytes` bytes from a
        node's cache and `cache_missed_bytes` bytes that it had to fetch.
        """
        with self._lock:
            return self._counts.copy()


STORE_COUNTERS = StoreCounters()
