"""obstore alone: reads given ranges in their order, so many at a time, and drops them. The limit for a loader that
reads by obstore: nothing is planned, checked, shuffled or assembled.

`choices`: `ranges` names a JSON file with [path, start, stop, pictures] of each, `in_flight` is the number at a time,
`way` is threads or asyncio. The list is read again from its beginning after its end.
"""

import argparse
import asyncio
import itertools
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.pretended import Pretended

TRIES = 10  # of a read whose error obstore does not retry itself, such as a connection that ends within a body
Range = tuple[str, int, int, int]  # path, start, stop, pictures
decoders: list[Pretended] = []


class Endless(Protocol):
    """Ranges without end, of which several threads may take the next."""

    def __next__(self) -> Range: ...


class Ranges:
    """The ranges, again and again."""

    def __init__(self, ranges: list[Range]) -> None:
        self._source, self._lock = itertools.cycle(ranges), threading.Lock()

    def __next__(self) -> Range:
        with self._lock:
            return next(self._source)


def by_threads(store: Any, ranges: Endless, in_flight: int) -> Iterator[int]:
    """Yields the pictures of each range that was read. Each thread reads one range after the other."""
    done, ended = queue.Queue[int | BaseException](maxsize=in_flight), threading.Event()

    def read() -> None:
        while not ended.is_set():
            path, start, stop, pictures = next(ranges)
            for number in range(TRIES):
                try:
                    obstore.get_range(store, path, start=start, end=stop)
                    break
                except (BaseError, OSError) as error:
                    if number == TRIES - 1:
                        done.put(error)
            done.put(pictures)

    threads = [threading.Thread(target=read, daemon=True) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    try:
        while True:
            found = done.get()
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        ended.set()
        while any(thread.is_alive() for thread in threads):
            with suppress(queue.Empty):
                done.get(timeout=0.01)


def by_asyncio(store: Any, ranges: Endless, in_flight: int) -> Iterator[int]:
    """Yields the pictures of the ranges that were read since the last step of the event loop."""
    done, failed, some = list[int](), list[BaseException](), asyncio.Event()

    async def read() -> None:
        while not failed:
            path, start, stop, pictures = next(ranges)
            for number in range(TRIES):
                try:
                    await obstore.get_range_async(store, path, start=start, end=stop)
                    break
                except (BaseError, OSError) as error:
                    if number == TRIES - 1:
                        failed.append(error)
            done.append(pictures)
            some.set()

    with asyncio.Runner() as runner:  # it cancels the reads at the end
        loop = runner.get_loop()
        readings = [loop.create_task(read()) for _ in range(in_flight)]
        while readings:
            loop.run_until_complete(some.wait())
            some.clear()
            if failed:
                raise failed[0]
            found, done[:] = sum(done), []
            yield found


def batches(options: argparse.Namespace) -> Iterator[int]:
    decoders.append(Pretended(options.rate))
    bucket = options.data.removeprefix("s3://").split("/")[0]
    store = S3Store(bucket, client_options={"allow_http": True})
    ranges = Ranges(json.loads(Path(options.choices["ranges"]).read_text()))
    read = {"threads": by_threads, "asyncio": by_asyncio}[options.choices["way"]]
    ready = 0
    for pictures in read(store, ranges, options.choices["in_flight"]):
        ready += pictures
        while ready >= options.batch:
            ready -= options.batch
            decoders[0].take(options.batch)
            yield options.batch


if __name__ == "__main__":
    stopwatch.run(batches, ("obstore",), totals=lambda: decoders[0].totals())
