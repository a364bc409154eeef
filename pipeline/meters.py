"""Measures how long each stage of the loader worked and waited and counts its output, to name the bottleneck."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tagmill.pipeline.slow_images import SlowImages
from tagmill.pipeline.waits import Waits
from tagmill.shards.storage.counters import STORE_COUNTERS
from tagmill.shards.takedown import TAKEN_DOWN

# Keys of the seconds. The decoding thread waits for its input (reads), works, then waits for a free output slot.
READ = "read"  # work of all reading threads together
INPUT = "decoder waited for reads"
DECODE = "decoded"
OUTPUT = "decoder waited for the trainer"
TRAINER = "trainer waited for the loader"
STAGES = (READ, INPUT, DECODE, OUTPUT, TRAINER)

NO_BOTTLENECK_BELOW = 0.02  # the loader is no bottleneck for a trainer that waits for a smaller share of the time


class Meters:
    """Thread-safe counters and timers of a loader."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._holes: Counter[str] = Counter()
        self._counts_before = STORE_COUNTERS.counts()
        self._counts = {"images": 0, "bytes": 0, "batches": 0}
        self._readers: dict[str, float] = {"readers": 0, "chunk_seconds": 0.0}
        self.waits = Waits()
        """What the next batch waits for."""
        self.slow = SlowImages()
        """Images that took long to decode."""

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the time inside the `with` block to a stage of STAGES."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add_seconds(stage, time.perf_counter() - begun)

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Adds seconds to a stage of STAGES."""
        with self._lock:
            self._seconds[stage] += seconds

    def add_bytes(self, num_bytes: int) -> None:
        """Adds bytes of encoded images that were read."""
        with self._lock:
            self._counts["bytes"] += num_bytes

    def set_readers(self, readers: int, chunk_seconds: float) -> None:
        """Sets how many chunks are read at a time, and how long one took of late (0 if that was not measured)."""
        with self._lock:
            self._readers = {"readers": readers, "chunk_seconds": chunk_seconds}

    def add_batch(self, images: int, holes: Mapping[str, int]) -> None:
        """Counts a batch that was yielded: its real slots including holes, and the holes by reason."""
        with self._lock:
            self._counts["batches"] += 1
            self._counts["images"] += images
            self._holes.update(holes)

    @property
    def images(self) -> int:
        """Slots yielded, including holes but not padding."""
        return self._counts["images"]

    @property
    def num_holes(self) -> int:
        """Slots yielded without an image."""
        return sum(self._holes.values())

    @property
    def num_lost(self) -> int:
        """Holes that count as failures: all except samples that were taken down."""
        return self.num_holes - self._holes[TAKEN_DOWN]

    def top_reasons(self, *, lost: bool = False) -> str:
        """Returns the three most frequent reasons of holes, for example '12 undecodable, 3 altered'; with `lost`, only
        of failures."""
        with self._lock:
            counts = Counter({reason: n for reason, n in self._holes.items() if not lost or reason != TAKEN_DOWN})
        return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common(3))

    def bottleneck(self) -> str:
        """Returns 'the trainer', 'reading' or 'decoding': the part whose speed limits the whole."""
        with self._lock:
            seconds = dict(self._seconds)
        # Between two batches the decoding thread works, waits for input, or waits for output.
        whole = seconds[INPUT] + seconds[DECODE] + seconds[OUTPUT]
        if seconds[TRAINER] <= NO_BOTTLENECK_BELOW * whole:
            return "the trainer"
        return "reading" if seconds[INPUT] > seconds[DECODE] else "decoding"

    def report(self) -> str:
        """Returns one sentence that names the bottleneck, images that were slow, and what holds up a batch that is
        late."""
        seen, late = self.as_dict(), self.waits.late()
        late = late and f"; {late}"
        if not self.images:
            return f"nothing was loaded yet{late}"
        whole = sum(seen["seconds"][stage] for stage in (INPUT, DECODE, OUTPUT)) or 1.0
        waited = min(1.0, seen["seconds"][TRAINER] / whole)
        holes = f", {self.num_holes:,} holes ({self.top_reasons()})" if self.num_holes else ", no holes"
        store, readers = _store_summary(seen["store"]), _readers_summary(seen)
        slow = self.slow.summary()
        slow = slow and f"; {slow}"
        return (
            f"{self.images:,} images in {seen['batches']:,} batches, {self.images / whole:,.0f} images/s, "
            f"{seen['bytes'] / 1e6:,.1f} MB read{readers}{holes}{store}{slow}; "
            f"the trainer waited {waited:.0%} of the time, the bottleneck is {self.bottleneck()}{late}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values for a log. Those under `store` count all requests of this process to remote stores and
        the node's cache since these meters were created, from every loader."""
        with self._lock:
            counts = {**self._counts, **self._readers, "holes": dict(self._holes), "seconds": dict(self._seconds)}
        return {**counts, **self.slow.as_dict(), "store": dict(STORE_COUNTERS.counts() - self._counts_before)}


def _readers_summary(seen: Mapping[str, Any]) -> str:
    """Returns the readers as text, if their number follows the latency of a chunk."""
    if not seen["chunk_seconds"]:
        return ""
    return f" by {seen['readers']:,} readers, a chunk in {1000 * seen['chunk_seconds']:,.0f} ms"


def _store_summary(store: Mapping[str, int]) -> str:
    """Returns the cache hits, retries and hedged requests as text; empty if there were none."""
    hits, missed = store.get("cache_bytes", 0), store.get("cache_missed_bytes", 0)
    text = f", {hits / (hits + missed):.0%} from the node's cache" if hits + missed else ""
    for name, words in (("retries", "retries"), ("hedges", "second requests")):
        text += f", {store[name]:,} {words}" if store.get(name) else ""
    return text
