"""A remote store in memory that counts its requests, and those in flight at a time.

    driver = counted_store(monkeypatch)
    Store("s3://counted").read("a")  # driver.counts: {"read": 1}

With `driver.together` the first requests wait until that many are in flight, without a clock: a caller that asks for
one after the other does not come through.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

import tagmill.shards.storage.remote.remote_store as store_module
from tagmill.shards.storage.listing import Page

PAGE_LENGTH = 1000
PATIENCE = 60.0  # seconds until requests that never come together are an error


@dataclass
class CountedDriver:
    """`objects` by path; `fail` names paths whose requests are refused."""

    objects: dict[str, bytes] = field(default_factory=dict)
    fail: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    ranges: list[tuple[str, int, int]] = field(default_factory=list)
    most_in_flight: int = 0
    hedged: ClassVar[bool] = False
    bulk: ClassVar[int] = 100
    _in_flight: int = 0
    _met: int = 0
    _lock: threading.Condition = field(default_factory=threading.Condition)
    together: int = 0
    gated: str = ""  # only requests wait for one another whose kind and path contain it, such as 'range ' or '.json'

    @contextmanager
    def _request(self, kind: str, path: str) -> Iterator[None]:
        with self._lock:
            self.counts[kind] += 1
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            if kind != "page" and self.gated in f"{kind} {path}" and self._met < self.together:
                self._met += 1
                self._lock.notify_all()
                assert self._lock.wait_for(lambda: self._met >= self.together, PATIENCE), "asked one after the other"
        try:
            if path in self.fail:
                raise PermissionError(13, "refused", path)
            yield
        finally:
            with self._lock:
                self._in_flight -= 1

    def _object(self, path: str) -> bytes:
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path]

    def size(self, path: str) -> int:
        with self._request("size", path):
            return len(self._object(path))

    def read(self, path: str) -> bytes:
        with self._request("read", path):
            return self._object(path)

    def read_range(self, path: str, start: int, stop: int) -> tuple[bytes, int]:
        with self._request("range", path):
            data = self._object(path)
            self.ranges.append((path, start, stop))
            return data[start:stop], len(data)

    def names(self, folder: str) -> list[str]:
        with self._request("page", folder):
            return [path for path in sorted(self.objects) if path.startswith(folder.lstrip("/"))]

    def page(self, folder: str, after: str | None) -> Page:
        with self._request("page", folder):
            found = [path for path in sorted(self.objects) if path.startswith(folder.lstrip("/"))]
            left = [path for path in found if after is None or path > after]
            some = [(path, len(self.objects[path])) for path in left[:PAGE_LENGTH]]
            return Page(some, [], some[-1][0] if len(left) > PAGE_LENGTH else None)

    def put(self, path: str, source: bytes | Path) -> None:
        with self._request("put", path):
            self.objects[path] = source if isinstance(source, bytes) else source.read_bytes()

    def create(self, path: str, data: bytes, mark: str) -> None:
        with self._request("create", path):
            if path in self.objects:
                raise FileExistsError(path)
            self.objects[path] = data

    def is_made_by(self, path: str, data: bytes, mark: str, tries: int) -> bool:
        with self._request("read", path):
            return False

    def exchange(self, path: str, old: bytes, new: bytes, mark: str) -> None:
        with self._request("put", path):
            if self._object(path) != old:
                raise FileExistsError(path)
            self.objects[path] = new

    def delete(self, path: str) -> None:
        with self._request("delete", path):
            self.objects.pop(path, None)

    def delete_many(self, paths: Sequence[str]) -> None:
        with self._request("delete_many", paths[0]):
            for path in paths:
                self.objects.pop(path, None)

    def renew(self) -> None:
        """Has no keys."""


def counted_store(patch: pytest.MonkeyPatch) -> CountedDriver:
    """Makes every remote store of this process this one, until `patch` is undone."""
    driver = CountedDriver()
    patch.setattr(store_module, "driver_of", lambda url: (driver, url.partition("://")[2].partition("/")[2]))
    return driver
