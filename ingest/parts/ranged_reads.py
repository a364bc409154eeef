"""Reads the bytes that rows bring: by their places, in bounded ranges, neighbours of a tar at once."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from tagmill.ingest.fetch.fetcher import Fetched
from tagmill.ingest.reasons import Reason
from tagmill.ingest.sources.locations import ByteRange
from tagmill.shards.errors import IntegrityError
from tagmill.shards.storage.store import Store
from tagmill.shards.storage.threads import DaemonPool

# Reads that are joined into one: neighbours in a tar, whose headers and metadata lie between. A picture from a bucket is
# mostly waiting, so a little that nobody wants costs less than another request.
GAP = 1 << 16
JOINED = 1 << 20  # bytes of a joined read at most


def runs(places: Sequence[ByteRange | None], max_bytes: int) -> list[list[int]]:
    """Ordinals of places that are read at once, in order: neighbours of one tar that follow each other closely.

    A run takes at most JOINED bytes, or holds one place. What is not read, or is not at rest (None), is alone.
    """
    found: list[list[int]] = []
    first = last = None
    for ordinal, place in enumerate(places):
        here = place if place is not None and place.readable(max_bytes) else None
        if here and first and last and _follows(here, first, last):
            found[-1].append(ordinal)
        else:
            found.append([ordinal])
            first = here
        last = here
    return found


def _follows(place: ByteRange, first: ByteRange, last: ByteRange) -> bool:
    return (
        (place.object, place.length) == (first.object, first.length)
        and 0 <= place.offset - (last.offset + last.size) <= GAP
        and place.offset + place.size - first.offset <= JOINED
    )


def read_places(places: Sequence[ByteRange], max_bytes: int) -> list[Fetched]:
    """What came of the places of one run, in order. Raises StoreError where the store refuses or keeps failing."""
    first, last, begun, clock = places[0], places[-1], datetime.now(UTC), time.monotonic()

    def fetched(body: bytes | None, reason: Reason | None = None, detail: str | None = None) -> Fetched:
        return Fetched(body, reason, detail, None, (time.monotonic() - clock) / len(places), begun, None)

    if first.reason is not None:
        return [fetched(None, Reason(first.reason), first.detail)]
    if first.size > max_bytes:
        return [fetched(None, Reason.TOO_BIG, f"{first.size} bytes")]
    folder, _, name = first.object.rpartition("/")
    try:
        if last.offset + last.size == first.offset:
            return [fetched(b"") for _ in places]
        wanted = [(each.offset, each.offset + each.size) for each in places]
        bodies = Store(folder or "/").read_ranges(name, wanted, first.length)
    except FileNotFoundError:
        return [fetched(None, Reason.NOT_FOUND, "gone since it was listed") for _ in places]
    except IntegrityError:
        return [fetched(None, Reason.CHANGED) for _ in places]
    return [fetched(body) for body in bodies]


class PlaceReader:
    """Reads places in threads of its own, for a worker's event loop."""

    def __init__(self, max_bytes: int, threads: int) -> None:
        self._max_bytes = max_bytes
        self._threads = DaemonPool(threads, "read")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.__exit__(kind, error, trace)

    async def read(self, places: Sequence[ByteRange]) -> list[Fetched]:
        """`read_places`, while the loop goes on."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, read_places, places, self._max_bytes)
