"""What this process has asked of remote stores and of its node's cache, counted for meters and tests."""

import threading
from collections import Counter


class Traffic:
    """Counters that several threads add to."""

    def __init__(self) -> None:
        self._lock, self._counts = threading.Lock(), Counter[str]()

    def add(self, **counts: int) -> None:
        """Adds to counters by name."""
        with self._lock:
            self._counts.update(counts)

    def counts(self) -> Counter[str]:
        """All counters so far.

        `retries` are tries after one that failed; `hedges` second requests for answers that were late; `cache_bytes` and
        `store_bytes` what came out of a node's cache and what it had to fetch.
        """
        with self._lock:
            return self._counts.copy()


TRAFFIC = Traffic()
