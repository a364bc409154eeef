"""The one door to storage: ranged reads, atomic puts and puts-if-absent on a local folder, S3 or any fsspec URL.

The flaky world of object stores is retried here and nowhere else of ours; what is late on S3 is asked for twice.
Nothing half-written is ever visible: a put is one request or one rename, never `fs.open(..., "wb")`, which commits a cut
object when an exception leaves its `with`.
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
from tagmill.shards.storage.counters import TRAFFIC
from tagmill.shards.storage.drivers import Driver
from tagmill.shards.storage.error_verdicts import told, verdict
from tagmill.shards.storage.hedge import hedged
from tagmill.shards.storage.listing import files_below, objects_below
from tagmill.shards.storage.local_disk import is_spool, locked, remove_tree, sync_folder, unless_gone, write_synced
from tagmill.shards.storage.ranged_reads import Places, cut
from tagmill.shards.storage.retry import Retries
from tagmill.shards.storage.seekable import Seekable
from tagmill.shards.storage.threads import pause

T = TypeVar("T")

SMALL_PUT = 1 << 26  # bytes; below it a file is sent from memory, in one request
READ_AHEAD = 1 << 20  # bytes that `Store.open` reads at a time from a remote store


@dataclass(frozen=True)
class Store:
    """Named byte objects below `url`. Picklable: a worker process opens its own connections.

    Names are relative, `/`-separated and made by us; one that would leave the store is refused. A relative local URL is made
    absolute, so that a worker with another working folder finds it too. Errors are FileNotFoundError where a method says
    so, IntegrityError for an object that was cut, and StoreError for a store that refuses or keeps failing.
    """

    url: str
    retries: Retries = field(default_factory=Retries)

    def __post_init__(self) -> None:
        if not self.url.strip():
            raise ConfigError("an empty address", "store", "give a folder or a URL; often it is a variable not set")
        if "://" not in self.url and not self.url.startswith("/"):
            object.__setattr__(self, "url", str(local_path(self.url)))

    @cached_property
    def root(self) -> Path | None:
        """The folder of a local store, None for every other."""
        return local_path(self.url) if is_local(self.url) else None

    def within(self, prefix: str) -> "Store":
        """The store whose names lie below `prefix` of this one."""
        return Store(self._address(_safe(prefix)), self.retries)

    def size(self, name: str) -> int:
        """Bytes of an object. Raises FileNotFoundError."""
        if self.root is not None:
            with self._reading(name) as path:
                return path.stat().st_size
        return int(self._remote(name, lambda driver, path: driver.size(path), hedge=0))

    def exists(self, name: str) -> bool:
        """Whether the object is there, asked of the store and not of a listing cache."""
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> bytes:
        """The whole object. Raises FileNotFoundError."""
        if self.root is not None:
            with self._reading(name) as path:
                return path.read_bytes()
        return self._remote(name, lambda driver, path: driver.read(path))

    def read_range(
        self, name: str, start: int, stop: int, size: int | None = None, identity: str | None = None
    ) -> bytes:
        """Bytes [start, stop): `read_pieces` of one place."""
        return self.read_pieces(name, [(start, stop)], size, identity)[0]

    def read_pieces(
        self, name: str, places: Places, size: int | None = None, identity: str | None = None
    ) -> list[bytes]:
        """Ranges [start, stop) of an object, ascending and apart, by one read from the first to the last. A short answer is
        tried again, then raised as IntegrityError: the object is cut.

        `size` is what the object's length must be, IntegrityError where it is not: most stores tell it with every answer,
        so that an object that was cut or replaced is found without a request of its own. `identity` names what the
        whole object holds (64 hex digits), for a store that keeps copies.
        """
        start, stop = places[0][0], places[-1][1]
        if stop <= start:
            return [b""] * len(places)
        if start < 0 or stop >= 1 << 63:
            raise IntegrityError(f"no bytes {start}-{stop}", self._address(name), "the index was altered: run lint")
        total: int | None
        if self.root is not None:
            with self._reading(name) as path:
                found, reached, total = ranged_reads.read(path, places)
        else:
            ask = lambda driver, path: driver.read_range(path, start, stop)  # noqa: E731
            data, total = self._remote(name, ask, hedge=stop - start)
            if size is not None and total is None:
                total = _once(self, name, size)
            found, reached = cut(data, places), start + len(data)
        if size is not None and total != size:
            remedy = "it was cut or replaced, or belongs to another shard: restore it"
            raise IntegrityError(f"{total} bytes, {size} expected", self._address(name), remedy)
        if reached != stop:
            what = f"bytes {start}-{stop} end after {reached - start}"
            raise IntegrityError(what, self._address(name), "the object was cut: restore or rebuild it")
        return found

    def read_afresh(self, name: str, start: int, stop: int, size: int, identity: str) -> bytes | None:
        """`read_range` past whatever keeps copies, for bytes that were found altered; None where that cannot differ."""
        return None if self.root is not None else self.read_range(name, start, stop, size, identity)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A seekable file for reading, for table readers that pick columns. Raises FileNotFoundError."""
        if self.root is not None:
            with self._reading(name) as path:
                file: BinaryIO = path.open("rb")
        else:
            file = io.BufferedReader(Seekable(partial(self.read_range, name), self.size(name)), READ_AHEAD)
        with file:
            yield file

    def names(self, prefix: str) -> list[str]:
        """Sorted names of the objects below the folder `prefix`; empty where it does not exist."""
        if self.root is not None:
            with self._reading(prefix) as place:
                found = (Path(top, file) for top, _, files in os.walk(place, onerror=unless_gone) for file in files)
                inside = [str(path.relative_to(self.root)) for path in found if path.is_file()]
            return sorted(name for name in inside if not is_spool(name))
        base = driver_of(self._address(""))[1].rstrip("/") + "/"
        folder = base + prefix.strip("/") + "/" if prefix.strip("/") else base
        try:
            listed = self._remote(prefix, lambda driver, path: driver.names(folder))
        except FileNotFoundError:
            return []
        return sorted(path.removeprefix(base) for path in listed)

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(name, bytes) of the objects below the folder `prefix`, in no order, a page at a time; none where it does not exist.

        Of a local store the regular files alone: symbolic links are not followed.
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
        """Writes or replaces an object in one step: readers see the old one or the new one. With `give` a file is gone
        afterwards; on the store's own disk it is moved, not copied."""
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
        """Writes an object only if none of that name exists; False if one does. (Locally a link, If-None-Match on S3, what
        the driver's `mode="create"` gives elsewhere.) The content passes through memory.

        A try whose answer was lost may have won: so an object on S3 carries a mark of who made it, and elsewhere what is
        found after several tries is compared with what we sent.
        """
        if self.root is not None:
            return self._put_local(name, source, replace=False)
        data = source if isinstance(source, bytes) else source.read_bytes()
        return self._alone(self._send, name, data, lambda driver, path, mark: driver.create(path, data, mark))

    def exchange(self, name: str, old: bytes, new: bytes) -> bool:
        """Replaces an object only if it holds `old`; False if it does not. (Locally under a lock of the folder, If-Match on S3;
        elsewhere it is compared just before, which is no guarantee.) Raises FileNotFoundError.
        """
        if self.root is not None:
            with self._reading(name) as path, locked(path.parent):
                if path.read_bytes() != old:
                    return False
                self.put(name, new)
                return True
        return self._alone(self._remote, name, new, lambda driver, path, mark: driver.exchange(path, old, new, mark))

    def delete(self, name: str) -> None:
        """Removes an object; one that is not there is no error."""
        try:
            if self.root is not None:
                with self._reading(name) as path:
                    path.unlink()
            else:
                self._remote(name, lambda driver, path: driver.delete(path))
        except FileNotFoundError:
            return

    def delete_below(self, prefix: str, last: str | None = None) -> None:
        """Removes every object below the folder `prefix`, and the object `last` of it when nothing else is left there.

        In a local store what killed puts left and the folders go too; without `last` the folder `prefix` is empty at worst.
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
        """The path of a local object. A path below a file does not exist; what else the system says is a refusal."""
        path = self._path(name)
        try:
            yield path
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(errno.ENOENT, "no such object", str(path)) from error
        except OSError as error:
            raise StoreError(f"no access: {error.strerror}", path, "mend its rights or the disk") from error

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
            remedy = "choose another output, or mend its rights or its free space"
            raise StoreError(f"cannot write here: {error.strerror}", path, remedy) from error
        return True

    def _send(self, name: str, call: Callable[[Driver, str], object]) -> None:
        """`_remote` for writing: where no bucket is, nothing can be put."""
        try:
            self._remote(name, call)
        except FileNotFoundError as error:
            remedy = "make the bucket first, or correct the address"
            raise StoreError(
                "nothing can be put here: no such bucket or folder", self._address(name), remedy
            ) from error

    def _alone(
        self,
        send: Callable[[str, Callable[[Driver, str], None]], object],
        name: str,
        data: bytes,
        call: Callable[[Driver, str, str], None],
    ) -> bool:
        """Whether a put that may only win once has won, with or without an answer."""
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
            except FileNotFoundError:  # the other's, and deleted since
                return False
        return True

    def _remote(self, name: str, call: Callable[[Driver, str], T], hedge: int | None = None) -> T:
        """`hedge` is given for what may be asked for twice at a time: the bytes of the answer. In a thread whose pool was
        stopped no try is begun: CancelledError."""
        driver, path = driver_of(self._address(_safe(name)))
        ask = (lambda: hedged(hedge, lambda: call(driver, path))) if driver.hedged else (lambda: call(driver, path))
        return _tried(self.retries, self._address(name), ask, driver.renew)


class _Patient:
    """An fsspec filesystem each of whose calls is tried again, and explained, as a Store's are."""

    def __init__(self, fs: Any, url: str) -> None:
        self._fs, self._url = fs, url

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._fs, name)
        return lambda *given, **named: _tried(Retries(), self._url, lambda: call(*given, **named), lambda: None)


def patient(url: str) -> tuple[Any, str]:
    """`handle`, for calls of methods that a Store has not, such as patterns: they raise FileNotFoundError, and StoreError as a
    Store does."""
    if is_local(url):
        return handle(url)
    fs, path = _tried(Retries(), url, lambda: handle(url), lambda: None)
    return _Patient(fs, url), path


def _tried(retries: Retries, where: str, ask: Callable[[], T], renew: Callable[[], bool | None]) -> T:
    """What `ask` gives, asked as often as `retries` say. `renew` says whether what was refused may be asked with other keys:
    yes, perhaps later, or never (None)."""
    waits = retries.waits()
    while True:
        pause()
        try:
            return ask()
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            found = verdict(error)
            if found == "ours":
                raise
            if found == "absent":
                raise FileNotFoundError(errno.ENOENT, told(error), where) from error
            others = renew() if isinstance(error, PermissionError) else None
            if others:
                continue
            if found == "refused" or (found == "expired" and others is None):
                remedy = "renew the keys, then run again" if found == "expired" else "check the credentials"
                raise StoreError(f"the store refuses: {told(error)}", where, remedy) from error
            wait = next(waits, None)
            if wait is None:
                what = f"the store failed {retries.tries} times, last: {told(error)}"
                remedy = "renew the keys" if found == "expired" else "check address, network and credentials"
                raise StoreError(what, where, f"{remedy}, then run again") from error
            TRAFFIC.add(retries=1)
            pause(wait)


@lru_cache(maxsize=4096)
def _once(store: Store, name: str, size: int) -> int:
    """The length of an object whose driver does not tell it with an answer: asked for at first touch, and then believed."""
    found = store.size(name)
    if found != size:
        remedy = "it was cut or replaced, or belongs to another shard: restore it"
        raise IntegrityError(f"{found} bytes, {size} expected", store._address(name), remedy)
    return found


def _safe(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise StoreError("a name that would leave the store", name, "names come from the manifest; it was altered")
    return name


__all__ = ["Retries", "Store", "driver_of", "handle", "is_local", "local_path", "patient"]
