"""The only access to storage: ranged reads, atomic puts and puts-if-absent on a local folder, S3 or any fsspec URL.

Errors of object stores are retried here only; late answers of S3 are requested twice. Nothing half-written is ever
visible: a put is one request or one rename, never `fs.open(..., "wb")`, which commits a truncated object after an
exception.
"""

import errno
import io
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from tagmill.shards.errors import ConfigError, IntegrityError, StoreError
from tagmill.shards.storage import ranged_reads
from tagmill.shards.storage.address import driver_of, handle, is_local, local_path
from tagmill.shards.storage.counters import STORE_COUNTERS
from tagmill.shards.storage.error_verdicts import classify, describe
from tagmill.shards.storage.hedge import hedged
from tagmill.shards.storage.listing import files_below, objects_below
from tagmill.shards.storage.local_disk import (
    is_spool,
    locked,
    raise_unless_missing,
    remove_tree,
    sync_folder,
    write_synced,
)
from tagmill.shards.storage.ranged_reads import Ranges, cut
from tagmill.shards.storage.remote.driver import Driver
from tagmill.shards.storage.retry import Retries
from tagmill.shards.storage.seekable import Seekable
from tagmill.shards.storage.threads import pause

T = TypeVar("T")

SMALL_PUT = 1 << 26  # bytes; smaller files are sent from memory, in one request
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

    def within(self, prefix: str) -> "Store":
        """Returns the store of the names below `prefix`."""
        return Store(self._address(_safe(prefix)), self.retries)

    def size(self, name: str) -> int:
        """Returns the length of an object in bytes. Raises FileNotFoundError."""
        if self.root is not None:
            with self._reading(name) as path:
                return path.stat().st_size
        return int(self._remote(name, lambda driver, path: driver.size(path), hedge=0))

    def exists(self, name: str) -> bool:
        """Returns whether the object exists, according to the store and not to a listing cache."""
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> bytes:
        """Reads the whole object. Raises FileNotFoundError."""
        if self.root is not None:
            with self._reading(name) as path:
                return path.read_bytes()
        return self._remote(name, lambda driver, path: driver.read(path))

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
        total: int | None
        if self.root is not None:
            with self._reading(name) as path:
                found, reached, total = ranged_reads.read(path, ranges)
        else:
            ask = lambda driver, path: driver.read_range(path, start, stop)  # noqa: E731
            data, total = self._remote(name, ask, hedge=stop - start)
            if size is not None and total is None:
                total = _once(self, name, size)
            found, reached = cut(data, ranges), start + len(data)
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
        if self.root is not None:
            with self._reading(name) as path:
                file: BinaryIO = path.open("rb")
        else:
            file = io.BufferedReader(Seekable(partial(self.read_range, name), self.size(name)), READ_AHEAD)
        with file:
            yield file

    def names(self, prefix: str) -> list[str]:
        """Returns the sorted names of the objects below the folder `prefix`; empty if it does not exist."""
        if self.root is not None:
            with self._reading(prefix) as place:
                found = (
                    Path(top, file) for top, _, files in os.walk(place, onerror=raise_unless_missing) for file in files
                )
                inside = [str(path.relative_to(self.root)) for path in found if path.is_file()]
            return sorted(name for name in inside if not is_spool(name))
        base = driver_of(self._address(""))[1].rstrip("/") + "/"
        folder = base + prefix.strip("/") + "/" if prefix.strip("/") else base
        try:
            ask = lambda inside, after: self._remote(prefix, lambda driver, _: driver.page(inside, after))  # noqa: E731
            return sorted(path.removeprefix(base) for path, _ in objects_below(folder, ask))
        except FileNotFoundError:
            return []

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yields (name, bytes) of the objects below the folder `prefix`, in no order, page by page; nothing if it does
        not exist. In a local store only regular files: symbolic links are not followed.
        """
        if self.root is not None:
            stem = prefix.strip("/")
            with self._reading(prefix) as place:
                yield from ((f"{stem}/{name}" if stem else name, size) for name, size in files_below(place))
            return
        base = driver_of(self._address(""))[1].rstrip("/") + "/"
        folder = base + prefix.strip("/") + "/" if prefix.strip("/") else base
        ask = lambda inside, after: self._remote(prefix, lambda driver, _: driver.page(inside, after))  # noqa: E731
        try:
            for path, size in objects_below(folder, ask):
                yield path.removeprefix(base), size
        except FileNotFoundError:
            return

    def put(self, name: str, source: bytes | Path, *, give: bool = False) -> None:
        """Writes or replaces an object in one step: readers see the old one or the new one. With `give` a source file
        is consumed; on the store's own disk it is moved, not copied."""
        if self.root is not None:
            self._put_local(name, source, replace=True, give=give)
        elif isinstance(source, bytes) or source.stat().st_size <= SMALL_PUT:
            data = source if isinstance(source, bytes) else source.read_bytes()
            self._send(name, lambda driver, path: driver.put(path, data))
        else:
            self._send(name, lambda driver, path: driver.put(path, source))
        if give and isinstance(source, Path):
            source.unlink(missing_ok=True)

    def put_new(self, name: str, source: bytes | Path) -> bool:
        """Writes an object only if none of that name exists; returns False if one does. (Locally by a link, on S3 by
        If-None-Match, elsewhere by the driver's `mode="create"`.) The content passes through memory.

        A try whose answer was lost may have succeeded. So an object on S3 carries a mark of its creator, and elsewhere
        an object found after several tries is compared with the content sent.
        """
        if self.root is not None:
            return self._put_local(name, source, replace=False)
        data = source if isinstance(source, bytes) else source.read_bytes()
        return self._alone(self._send, name, data, lambda driver, path, mark: driver.create(path, data, mark))

    def exchange(self, name: str, old: bytes, new: bytes) -> bool:
        """Replaces an object only if it holds `old`; returns False if it does not. (Locally under a lock of the folder,
        on S3 by If-Match; elsewhere by a comparison just before, which is no guarantee.) Raises FileNotFoundError.
        """
        if self.root is not None:
            with self._reading(name) as path, locked(path.parent):
                if path.read_bytes() != old:
                    return False
                self.put(name, new)
                return True
        return self._alone(self._remote, name, new, lambda driver, path, mark: driver.exchange(path, old, new, mark))

    def delete(self, name: str) -> None:
        """Removes an object; a missing one is no error."""
        try:
            if self.root is not None:
                with self._reading(name) as path:
                    path.unlink()
            else:
                self._remote(name, lambda driver, path: driver.delete(path))
        except FileNotFoundError:
            return

    def delete_below(self, prefix: str, last: str | None = None) -> None:
        """Removes every object below the folder `prefix`, and its object `last` after all others.

        In a local store this includes the remains of killed puts and the folders; without `last` at most an empty
        folder `prefix` is left.
        """
        for name in self.names(prefix):
            if name != last:
                self.delete(name)
        if self.root is not None and self._path(prefix).is_dir():
            remove_tree(self._path(prefix), last=self._path(last) if last else None)
        elif last:
            self.delete(last)

    def _address(self, name: str) -> str:
        stem = self.url.rstrip("/")
        if not stem or stem.endswith(":"):  # '/', 'file:///', 'memory://'
            stem = self.url.removesuffix("/")
        return f"{stem}/{name}"

    def _path(self, name: str) -> Path:
        assert self.root is not None
        return self.root / _safe(name)

    @contextmanager
    def _reading(self, name: str) -> Iterator[Path]:
        """Yields the path of a local object. A path below a file does not exist; all other system errors are refusals."""
        path = self._path(name)
        try:
            yield path
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(errno.ENOENT, "no such object", str(path)) from error
        except OSError as error:
            raise StoreError(f"no access: {error.strerror}", path, "fix its permissions or the disk") from error

    def _put_local(self, name: str, source: bytes | Path, *, replace: bool, give: bool = False) -> bool:
        """Spools the content beside its final name, complete and synced, then gives it the name in one step."""
        path = self._path(name)
        spool = path.with_name(f".{path.name}.{secrets.token_hex(8)}.spool")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_synced(spool, source, give=give)
                if replace:
                    spool.replace(path)
                else:
                    try:
                        os.link(spool, path)
                    except FileExistsError:
                        return False
                sync_folder(path.parent)
            finally:
                spool.unlink(missing_ok=True)
        except OSError as error:
            remedy = "choose another output, or fix its permissions or free space"
            raise StoreError(f"cannot write here: {error.strerror}", path, remedy) from error
        return True

    def _send(self, name: str, call: Callable[[Driver, str], object]) -> None:
        """Runs `_remote` for writing, and raises StoreError if the bucket does not exist."""
        try:
            self._remote(name, call)
        except FileNotFoundError as error:
            remedy = "create the bucket first, or correct the address"
            raise StoreError("cannot write here: no such bucket or folder", self._address(name), remedy) from error

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
                return self._remote(name, lambda driver, path: driver.is_made_by(path, data, mark, tries))
            except FileNotFoundError:  # the other writer's, and deleted since
                return False
        return True

    def _remote(self, name: str, call: Callable[[Driver, str], T], hedge: int | None = None) -> T:
        """Calls the driver with retries. `hedge` is the size of the answer in bytes if the request may run twice at a
        time. In a thread whose pool was stopped no try starts: raises CancelledError."""
        driver, path = driver_of(self._address(_safe(name)))
        ask = (lambda: hedged(hedge, lambda: call(driver, path))) if driver.hedged else (lambda: call(driver, path))
        return _tried(self.retries, self._address(name), ask, driver.renew)


class _RetryingFilesystem:
    """An fsspec filesystem whose calls are retried, and whose errors are explained, as those of a Store."""

    def __init__(self, fs: Any, url: str) -> None:
        self._fs = fs
        self._url = url

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._fs, name)
        return lambda *given, **named: _tried(Retries(), self._url, lambda: call(*given, **named), lambda: None)


def retrying_filesystem(url: str) -> tuple[Any, str]:
    """Returns `handle` with retries, for methods that Store lacks, such as patterns: they raise FileNotFoundError and
    StoreError as a Store does."""
    if is_local(url):
        return handle(url)
    fs, path = _tried(Retries(), url, lambda: handle(url), lambda: None)
    return _RetryingFilesystem(fs, url), path


def _tried(retries: Retries, where: str, ask: Callable[[], T], renew: Callable[[], bool | None]) -> T:
    """Returns the result of `ask`, with retries. `renew` says whether a refused request may be repeated with other
    keys: True, False (perhaps later), or None (never)."""
    backoffs = retries.backoffs()
    while True:
        pause()
        try:
            return ask()
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            found = classify(error)
            if found == "ours":
                raise
            if found == "absent":
                raise FileNotFoundError(errno.ENOENT, describe(error), where) from error
            others = renew() if isinstance(error, PermissionError) else None
            if others:
                continue
            if found == "refused" or (found == "expired" and others is None):
                remedy = "renew the keys, then run again" if found == "expired" else "check the credentials"
                raise StoreError(f"the store refuses: {describe(error)}", where, remedy) from error
            backoff = next(backoffs, None)
            if backoff is None:
                what = f"the store failed {retries.tries} times, last: {describe(error)}"
                remedy = "renew the keys" if found == "expired" else "check address, network and credentials"
                raise StoreError(what, where, f"{remedy}, then run again") from error
            STORE_COUNTERS.add(retries=1)
            pause(backoff)


@lru_cache(maxsize=4096)
def _once(store: Store, name: str, size: int) -> int:
    """Checks the length of an object whose driver does not return it with answers: at the first read, then cached."""
    found = store.size(name)
    if found != size:
        remedy = "it was truncated or replaced, or belongs to another shard: restore it"
        raise IntegrityError(f"{found} bytes, {size} expected", store._address(name), remedy)
    return found


def _safe(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise StoreError("a name that would leave the store", name, "restore the manifest: it was altered")
    return name


__all__ = ["Retries", "Store", "driver_of", "handle", "is_local", "local_path", "retrying_filesystem"]
