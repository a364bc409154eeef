"""A bucket or an fsspec filesystem as a store: every request is retried, late reads are requested twice, and requests in
flight are bounded."""

import itertools
import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from tagmill.shards.errors import IntegrityError, StoreError
from tagmill.shards.storage.hedge import hedged
from tagmill.shards.storage.listing import Page, objects_below
from tagmill.shards.storage.ranged_reads import Ranges, RangesRead, cut
from tagmill.shards.storage.remote.driver import Driver
from tagmill.shards.storage.remote.opening import driver_of
from tagmill.shards.storage.retry import Retries, tried
from tagmill.shards.storage.threads import DaemonPool

T = TypeVar("T")

SMALL_PUT = 1 << 26  # bytes; smaller files are sent from memory, in one request
# Requests of a process in flight, and so its connections to stores. A prefix of S3 answers 5,500 reads a second, which
# are 165 in flight at 30 ms; eight processes of a machine stay below the 1,024 files that a process may open by default.
MOST_IN_FLIGHT = 256
DELETIONS = 8  # requests in flight that delete many objects each

_in_flight = threading.BoundedSemaphore(MOST_IN_FLIGHT)


def _after_fork() -> None:
    """Begins with none in flight: the parent's threads are not in the child."""
    global _in_flight
    _in_flight = threading.BoundedSemaphore(MOST_IN_FLIGHT)


os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True)
class RemoteStore:
    """The objects below `url`. The methods are those of `Store`, which has checked the names."""

    url: str
    retries: Retries

    def address(self, name: str) -> str:
        """Returns the URL of an object."""
        stem = self.url.rstrip("/")
        if not stem or stem.endswith(":"):  # 'memory://'
            stem = self.url.removesuffix("/")
        return f"{stem}/{name}"

    def size(self, name: str) -> int:
        return int(self._ask(name, lambda driver, path: driver.size(path), hedge=0))

    def read(self, name: str) -> bytes:
        return self._ask(name, lambda driver, path: driver.read(path))

    def read_ranges(self, name: str, ranges: Ranges, size: int | None) -> RangesRead:
        start, stop = ranges[0][0], ranges[-1][1]
        ask = lambda driver, path: driver.read_range(path, start, stop)  # noqa: E731
        data, total = self._ask(name, ask, hedge=stop - start)
        if total is None and size is not None:
            total = _once(self, name, size)
        return RangesRead(cut(data, ranges), start + len(data), -1 if total is None else total)

    def listing(self, prefix: str) -> Iterator[tuple[str, int]]:
        base = driver_of(self.address(""))[1].rstrip("/") + "/"
        folder = base + prefix.strip("/") + "/" if prefix.strip("/") else base
        ask = lambda inside, after: self._ask(prefix, lambda driver, _: driver.page(inside, after))  # noqa: E731
        try:
            for path, size in objects_below(folder, ask):
                yield path.removeprefix(base), size
        except FileNotFoundError:
            return

    def folder(self, prefix: str) -> Page:
        """Returns the objects and subfolders of one folder, not what is below these. Raises FileNotFoundError for a
        bucket that does not exist."""
        base = driver_of(self.address(""))[1].rstrip("/") + "/"
        folder = base + prefix.strip("/") + "/" if prefix.strip("/") else base
        page = self._ask(prefix, lambda driver, _: driver.folder(folder))
        objects = [(path.removeprefix(base), size) for path, size in page.objects]
        return Page(objects, [path.removeprefix(base) for path in page.folders])

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name, _ in self.listing(prefix))

    def put(self, name: str, source: bytes | Path) -> None:
        small = isinstance(source, bytes) or source.stat().st_size <= SMALL_PUT
        data = source.read_bytes() if small and isinstance(source, Path) else source
        self._send(name, lambda driver, path: driver.put(path, data))

    def put_new(self, name: str, data: bytes) -> bool:
        return self._alone(self._send, name, data, lambda driver, path, mark: driver.create(path, data, mark))

    def exchange(self, name: str, old: bytes, new: bytes) -> bool:
        return self._alone(self._ask, name, new, lambda driver, path, mark: driver.exchange(path, old, new, mark))

    def delete(self, name: str) -> None:
        self._ask(name, lambda driver, path: driver.delete(path))

    def delete_many(self, names: Iterable[str]) -> None:
        """Removes objects by as few requests as the store allows, DELETIONS at a time; returns when all are gone. Names
        are taken as they are needed. The first error ends it."""
        driver = driver_of(self.address(""))[0]
        rest, waiting = iter(names), deque[Future[None]]()
        with DaemonPool(DELETIONS, "tagmill-delete") as pool:
            while batch := list(itertools.islice(rest, driver.bulk)):
                if len(waiting) >= 2 * DELETIONS:
                    waiting.popleft().result()
                waiting.append(pool.submit(self._delete_batch, batch))
            while waiting:
                waiting.popleft().result()

    def _delete_batch(self, names: list[str]) -> None:
        paths = [driver_of(self.address(name))[1] for name in names]
        self._ask(names[0], lambda driver, _: driver.delete_many(paths))

    def _send(self, name: str, call: Callable[[Driver, str], object]) -> None:
        """Runs `_ask` for writing, and raises StoreError if the bucket does not exist."""
        try:
            self._ask(name, call)
        except FileNotFoundError as error:
            remedy = "create the bucket first, or correct the address"
            raise StoreError("cannot write here: no such bucket or folder", self.address(name), remedy) from error

    def _alone(
        self,
        send: Callable[[str, Callable[[Driver, str], None]], object],
        name: str,
        data: bytes,
        call: Callable[[Driver, str, str], None],
    ) -> bool:
        """Returns whether a conditional put has succeeded, even if its answer was lost."""
        mark, tries = secrets.token_hex(16), 0

        def attempt(driver: Driver, path: str) -> None:
            nonlocal tries
            tries += 1
            call(driver, path, mark)

        try:
            send(name, attempt)
        except FileExistsError:
            try:
                return self._ask(name, lambda driver, path: driver.is_made_by(path, data, mark, tries))
            except FileNotFoundError:  # the other writer's, and deleted since
                return False
        return True

    def _ask(self, name: str, call: Callable[[Driver, str], T], hedge: int | None = None) -> T:
        """Calls the driver with retries. `hedge` is the size of the answer in bytes if the request may run twice at a
        time."""
        driver, path = driver_of(self.address(name))

        def request() -> T:
            with _in_flight:
                return call(driver, path)

        ask = (lambda: hedged(hedge, request)) if driver.hedged else request
        return tried(self.retries, self.address(name), ask, driver.renew)


@lru_cache(maxsize=4096)
def _once(store: RemoteStore, name: str, size: int) -> int:
    """Checks the length of an object whose driver does not return it with answers: at the first read, then cached."""
    found = store.size(name)
    if found != size:
        remedy = "it was truncated or replaced, or belongs to another shard: restore it"
        raise IntegrityError(f"{found} bytes, {size} expected", store.address(name), remedy)
    return found
