"""Reads the bytes of rows from tars and folders: in bounded ranges, and neighbours in a tar with one read."""

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

# Neighbours in a tar are joined to one read, although headers and metadata are between them: with an object store, a
# few bytes too many cost less than another request.
GAP = 1 << 16  # bytes between neighbours, at most
JOINED = 1 << 20  # bytes of a joined read, at most


def runs(locations: Sequence[ByteRange | None], max_bytes: int) -> list[list[int]]:
    """Returns the ordinals of locations that are read together, in order: close neighbours in one tar.

    A run has at most JOINED bytes, or one location. A URL (None), or a location that is not read, is a run of its own.
    """
    found: list[list[int]] = []
    first = last = None
    for ordinal, location in enumerate(locations):
        here = location if location is not None and location.readable(max_bytes) else None
        if here and first and last and _follows(here, first, last):
            found[-1].append(ordinal)
        else:
            found.append([ordinal])
            first = here
        last = here
    return found


def _follows(here: ByteRange, first: ByteRange, last: ByteRange) -> bool:
    return (
        (here.object, here.length) == (first.object, first.length)
        and 0 <= here.offset - (last.offset + last.size) <= GAP
        and here.offset + here.size - first.offset <= JOINED
    )


def read_locations(locations: Sequence[ByteRange], max_bytes: int) -> list[Fetched]:
    """Reads the locations of one run, in order. Raises StoreError where the store refuses or keeps failing."""
    first, last = locations[0], locations[-1]
    begun, clock = datetime.now(UTC), time.monotonic()

    def fetched(body: bytes | None, reason: Reason | None = None, detail: str | None = None) -> Fetched:
        return Fetched(body, reason, detail, None, (time.monotonic() - clock) / len(locations), begun, None)

    if first.reason is not None:
        return [fetched(None, Reason(first.reason), first.detail)]
    if first.size > max_bytes:
        return [fetched(None, Reason.TOO_BIG, f"{first.size} bytes")]
    folder, _, name = first.object.rpartition("/")
    try:
        if last.offset + last.size == first.offset:
            return [fetched(b"") for _ in locations]
        ranges = [(each.offset, each.offset + each.size) for each in locations]
        bodies = Store(folder or "/").read_ranges(name, ranges, first.length)
    except FileNotFoundError:
        return [fetched(None, Reason.NOT_FOUND, "gone since it was listed") for _ in locations]
    except IntegrityError:
        return [fetched(None, Reason.CHANGED) for _ in locations]
    return [fetched(body) for body in bodies]


class LocationReader:
    """Reads locations in threads of its own, for a worker's event loop."""

    def __init__(self, max_bytes: int, threads: int) -> None:
        self._max_bytes = max_bytes
        self._threads = DaemonPool(threads, "read")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.__exit__(kind, error, trace)

    async def read(self, locations: Sequence[ByteRange]) -> list[Fetched]:
        """Calls `read_locations` in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, read_locations, locations, self._max_bytes)
