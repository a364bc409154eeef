"""The only access to storage: ranged reads, atomic puts and puts-if-absent on a local folder, a bucket or any fsspec URL.

Errors of object stores are retried here only; late answers of buckets are requested twice. Nothing half-written is ever
visible: a put is one request or one rename, never `fs.open(..., "wb")`, which commits a truncated object after an
exception.
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO

from tagmill.shards.errors import ConfigError, IntegrityError, StoreError
from tagmill.shards.storage.address import is_local, local_path
from tagmill.shards.storage.local_store import LocalStore
from tagmill.shards.storage.ranged_reads import Ranges
from tagmill.shards.storage.remote.filesystems import handle, retrying_filesystem
from tagmill.shards.storage.remote.remote_store import SMALL_PUT, RemoteStore
from tagmill.shards.storage.retry import Retries
from tagmill.shards.storage.seekable import Seekable

READ_AHEAD = 1 << 20  # bytes that `Store.open` reads at a time from a remote store


@dataclass(frozen=True)
class Store:
    """Named byte objects below `url`. Picklable: a worker process opens its own connections.

    Names are relative and `/`-separated; one that would leave the store is refused. A relative local URL is made
    absolute. Raises FileNotFoundError where a method says so, IntegrityError for a truncated object, and StoreError for
    a store that refuses or keeps failing.
    """

    url: str
    retries: Retries = field(default_factory=Retries)

    def __post_init__(self) -> None:
        if not self.url.strip():
            raise ConfigError(
                "an empty address", "store", "give a folder or a URL; often an environment variable is not set"
            )
        if "://" not in self.url and not self.url.startswith("/"):
            object.__setattr__(self, "url", str(local_path(self.url)))

    @cached_property
    def root(self) -> Path | None:
        """The folder of a local store, None for every other."""
        return local_path(self.url) if is_local(self.url) else None

    @cached_property
    def _place(self) -> LocalStore | RemoteStore:
        return RemoteStore(self.url, self.retries) if self.root is None else LocalStore(self.root)

    def within(self, prefix: str) -> "Store":
        """Returns the store of the names below `prefix`."""
        return Store(self._address(_safe(prefix)), self.retries)

    def size(self, name: str) -> int:
        """Returns the length of an object in bytes. Raises FileNotFoundError."""
        return self._place.size(_safe(name))

    def exists(self, name: str) -> bool:
        """Returns whether the object exists, according to the store and not to a listing cache."""
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> bytes:
        """Reads the whole object. Raises FileNotFoundError."""
        return self._place.read(_safe(name))

    def read_range(
        self, name: str, start: int, stop: int, size: int | None = None, identity: str | None = None
    ) -> bytes:
        """Reads bytes [start, stop): `read_ranges` with one range."""
        return self.read_ranges(name, [(start, stop)], size, identity)[0]

    def read_ranges(
        self, name: str, ranges: Ranges, size: int | None = None, identity: str | None = None
    ) -> list[bytes]:
        """Reads ranges [start, stop) of an object, ascending and disjoint, by one read from the first to the last.
        Retries a short answer, then raises IntegrityError: the object is truncated.

        Raises IntegrityError if the object's length is not `size`. Most stores return the length with every answer, so
        this needs no other request. `identity` names the content of the whole object (64 hex digits), for a store with
        a cache.
        """
        start, stop = ranges[0][0], ranges[-1][1]
        if stop <= start:
            return [b""] * len(ranges)
        if start < 0 or stop >= 1 << 63:
            raise IntegrityError(f"no bytes {start}-{stop}", self._address(name), "the index was altered: run lint")
        if isinstance(self._place, LocalStore):
            found, reached, total = self._place.read_ranges(_safe(name), ranges)
        else:
            found, reached, total = self._place.read_ranges(_safe(name), ranges, size)
        if size is not None and total != size:
            remedy = "it was truncated or replaced, or belongs to another shard: restore it"
            raise IntegrityError(f"{total} bytes, {size} expected", self._address(name), remedy)
        if reached != stop:
            what = f"bytes {start}-{stop} end after {reached - start}"
            raise IntegrityError(what, self._address(name), "the object was truncated: restore or rebuild it")
        return found

    def read_afresh(self, name: str, start: int, stop: int, size: int, identity: str) -> bytes | None:
        """Repeats `read_range` without the cache, for bytes that were found altered; returns None if there is no cache."""
        return None if self.root is not None else self.read_range(name, start, stop, size, identity)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Opens a seekable file for reading, for table readers that pick columns. Raises FileNotFoundError."""
        if isinstance(self._place, LocalStore):
            file: BinaryIO = self._place.open(_safe(name))
        else:
            file = io.BufferedReader(Seekable(partial(self.read_range, name), self.size(name)), READ_AHEAD)
        with file:
            yield file

    def names(self, prefix: str) -> list[str]:
        """Returns the sorted names of the objects below the folder `prefix`; empty if it does not exist."""
        return self._place.names(_safe(prefix))

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yields (name, bytes) of the objects below the folder `prefix`, in no order, page by page; nothing if it does
        not exist. In a local store only regular files: symbolic links are not followed.

        An object that exists all the time is yielded once, whatever is added or removed meanwhile.
        """
        return self._place.listing(_safe(prefix))

    def put(self, name: str, source: bytes | Path, *, give: bool = False) -> None:
        """Writes or replaces an object in one step: readers see the old one or the new one. With `give` a source file
        is consumed; on the store's own disk it is moved, not copied."""
        if isinstance(self._place, LocalStore):
            self._place.put(_safe(name), source, give=give)
        else:
            self._place.put(_safe(name), source)
        if give and isinstance(source, Path):
            source.unlink(missing_ok=True)

    def put_new(self, name: str, source: bytes | Path) -> bool:
        """Writes an object only if none of that name exists; returns False if one does. (Locally by a link, in a bucket
        by the service's condition, elsewhere by the driver's `mode="create"`.) The content passes through memory.

        A try whose answer was lost may have succeeded. So an object in a bucket carries a mark of its creator, and
        elsewhere an object found after several tries is compared with the content sent.
        """
        if isinstance(self._place, LocalStore):
            return self._place.put_new(_safe(name), source)
        return self._place.put_new(_safe(name), source if isinstance(source, bytes) else source.read_bytes())

    def exchange(self, name: str, old: bytes, new: bytes) -> bool:
        """Replaces an object only if it holds `old`; returns False if it does not. (Locally under a lock of the folder,
        in a bucket by the version that was read; elsewhere by a comparison just before, which is no guarantee.) Raises
        FileNotFoundError.
        """
        if isinstance(self._place, RemoteStore):
            return self._place.exchange(_safe(name), old, new)
        with self._place.locked_if(_safe(name), old) as same:
            if same:
                self.put(name, new)
            return same

    def delete(self, name: str) -> None:
        """Removes an object; a missing one is no error."""
        with suppress(FileNotFoundError):
            self._place.delete(_safe(name))

    def delete_many(self, names: Iterable[str]) -> None:
        """Removes objects, in any order, by as few requests as the store allows; returns when all are gone. Missing ones
        are no error."""
        if isinstance(self._place, LocalStore):
            for name in names:
                self.delete(name)
        else:
            self._place.delete_many(map(_safe, names))

    def delete_below(self, prefix: str, last: str | None = None) -> None:
        """Removes every object below the folder `prefix`, and its object `last` after all others.

        In a local store this includes the remains of killed puts and the folders; without `last` at most an empty
        folder `prefix` is left.
        """
        if isinstance(self._place, LocalStore):
            self.delete_many([name for name in self.names(prefix) if name != last])
            self._place.remove_folder(_safe(prefix), last)
        else:
            self.delete_many(name for name, _ in self.listing(prefix) if name != last)
            if last:
                self.delete(last)

    def _address(self, name: str) -> str:
        return RemoteStore(self.url, self.retries).address(name)


def _safe(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise StoreError("a name that would leave the store", name, "restore the manifest: it was altered")
    return name


__all__ = ["SMALL_PUT", "Retries", "Store", "handle", "is_local", "local_path", "retrying_filesystem"]
