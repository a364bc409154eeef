"""How long each stage of the loader worked and waited, and what came out: enough to name the bottleneck."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tagmill.shards.storage.counters import TRAFFIC
from tagmill.shards.takedown import TAKEN_DOWN

# What the seconds are of. The decoding thread waits for its input (read), works, then waits for room (its output).
READ = "read"  # worked: all reading threads together
INPUT = "decoder waited for reads"
DECODE = "decoded"
OUTPUT = "decoder waited for the trainer"
TRAINER = "trainer waited for the loader"
STAGES = (READ, INPUT, DECODE, OUTPUT, TRAINER)

HARDLY = 0.02  # a trainer that waits less than this share of the time has no bottleneck in its loader


class Meters:
    """Counters that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._holes: Counter[str] = Counter()
        self._before = TRAFFIC.counts()
        self._counts = {"images": 0, "bytes": 0, "batches": 0}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the time inside to a stage's seconds."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add_seconds(stage, time.perf_counter() - begun)

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Adds to a stage of STAGES."""
        with self._lock:
            self._seconds[stage] += seconds

    def add_bytes(self, num_bytes: int) -> None:
        """Bytes of encoded pictures that were read."""
        with self._lock:
            self._counts["bytes"] += num_bytes

    def add_batch(self, images: int, holes: Mapping[str, int]) -> None:
        """A batch that was handed out: its real places, holes among them, and the holes by reason."""
        with self._lock:
            self._counts["batches"] += 1
            self._counts["images"] += images
            self._holes.update(holes)

    @property
    def images(self) -> int:
        """Places handed out, holes among them and padding not."""
        return self._counts["images"]

    @property
    def num_holes(self) -> int:
        """Places handed out without a picture."""
        return sum(self._holes.values())

    @property
    def num_lost(self) -> int:
        """Of the holes, those that nobody wanted: what was taken down is no failure."""
        return self.num_holes - self._holes[TAKEN_DOWN]

    def top_reasons(self, *, lost: bool = False) -> str:
        """The three most frequent reasons of holes, such as '12 undecodable, 3 altered'; of those that are `lost`."""
        with self._lock:
            counts = Counter({reason: n for reason, n in self._holes.items() if not lost or reason != TAKEN_DOWN})
        return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common(3))

    def bottleneck(self) -> str:
        """'the trainer', 'reading' or 'decoding': who would make the whole faster by being faster."""
        with self._lock:
            seconds = dict(self._seconds)
        # From one batch to the next, the decoding thread either works or waits on one of its sides.
        whole = seconds[INPUT] + seconds[DECODE] + seconds[OUTPUT]
        if seconds[TRAINER] <= HARDLY * whole:
            return "the trainer"
        return "reading" if seconds[INPUT] > seconds[DECODE] else "decoding"

    def report(self) -> str:
        """One sentence that names the bottleneck."""
        seen = self.as_dict()
        if not self.images:
            return "nothing was loaded yet"
        whole = sum(seen["seconds"][stage] for stage in (INPUT, DECODE, OUTPUT)) or 1.0
        waited = min(1.0, seen["seconds"][TRAINER] / whole)
        holes = f", {self.num_holes:,} holes ({self.top_reasons()})" if self.num_holes else ", no holes"
        store = _told(seen["store"])
        return (
            f"{self.images:,} images in {seen['batches']:,} batches, {self.images / whole:,.0f} images/s, "
            f"{seen['bytes'] / 1e6:,.1f} MB read{holes}{store}; the trainer waited {waited:.0%} of the time, "
            f"the bottleneck is {self.bottleneck()}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a log. Those of `store` count what this process asked of remote stores and of the node's cache
        since these meters began, whoever asked."""
        with self._lock:
            counts = {**self._counts, "holes": dict(self._holes), "seconds": dict(self._seconds)}
        return {**counts, "store": dict(TRAFFIC.counts() - self._before)}


def _told(store: Mapping[str, int]) -> str:
    """What the store and the cache did, if anything is to be said."""
    hits, missed = store.get("cache_bytes", 0), store.get("cache_missed_bytes", 0)
    text = f", {hits / (hits + missed):.0%} from the node's cache" if hits + missed else ""
    for name, words in (("retries", "retries"), ("hedges", "second requests")):
        text += f", {store[name]:,} {words}" if store.get(name) else ""
    return text
