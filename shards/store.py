"""The one door to storage: ranged reads, atomic puts and puts-if-absent on a local folder or any fsspec URL.

The flaky world of object stores is retried here and nowhere else of ours (drivers have retries of their own below it).
Nothing half-written is ever visible: a put is one request or one rename, never `fs.open(..., "wb")`, which commits a cut
object when an exception leaves its `with`.
"""

import errno
import io
import os
import random
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from fsspec.core import url_to_fs

from tagmill.shards.drivers import PERMANENT, create, is_flaky, is_made_by, ranged, told
from tagmill.shards.errors import IntegrityError, StoreError

T = TypeVar("T")

SMALL_PUT = 1 << 26  # bytes; below it a file is sent from memory, in one request
READ_AHEAD = 1 << 20  # bytes that `Store.open` reads at a time from a remote store


def is_local(url: str) -> bool:
    """True for a path or file:// URL, which is served by the operating system without fsspec."""
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> Path:
    """The path of a local URL, absolute."""
    return Path(url.removeprefix("file://")).expanduser().absolute()


def handle(url: str) -> tuple[Any, str]:
    """The fsspec filesystem and the path inside it for `url`; how readers of tables reach a store.

    Credentials and endpoints come from the usual environment of each store (AWS_*, GOOGLE_*, fsspec's config files).
    Listings are never cached: what another process wrote a moment ago is there.
    """
    try:
        return url_to_fs(str(local_path(url)) if is_local(url) else url, use_listings_cache=False)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        scheme = url.split("://")[0]
        remedy = "pip install 'tagmill[s3]'" if scheme == "s3" else f"install the fsspec package for {scheme}://"
        raise StoreError(f"no way to reach this store: {error}", url, remedy) from error


@dataclass(frozen=True)
class Retries:
    """How often and how patiently a store is tried again: `first` seconds, doubled each time up to `most`, with jitter."""

    tries: int = 5
    first: float = 0.2
    most: float = 10.0

    def waits(self) -> Iterator[float]:
        """Seconds to sleep before each further try."""
        for attempt in range(self.tries - 1):
            yield min(self.most, self.first * 2**attempt) * (0.5 + random.random() / 2)


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
        if "://" not in self.url and not self.url.startswith("/"):
            object.__setattr__(self, "url", str(local_path(self.url)))

    @property
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
        return int(self._remote(name, lambda fs, path: fs.info(path)["size"]))

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
        return bytes(self._remote(name, lambda fs, path: fs.cat_file(path)))

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop). A short answer is tried again, then raised as IntegrityError: the object is cut."""
        if stop <= start:
            return b""
        if start < 0 or stop >= 1 << 63:
            raise IntegrityError(f"no bytes {start}-{stop}", self._address(name), "the index was altered: run lint")
        if self.root is not None:
            with self._reading(name) as path, path.open("rb", buffering=0) as file:
                data = _read_at(file.fileno(), start, stop)
        else:
            data = self._remote(name, lambda fs, path: ranged(fs, path, start, stop))
        if len(data) != stop - start:
            remedy = "the object was cut: restore or rebuild it"
            raise IntegrityError(f"bytes {start}-{stop} end after {len(data)}", self._address(name), remedy)
        return data

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A seekable file for reading, for table readers that pick columns. Raises FileNotFoundError."""
        if self.root is not None:
            with self._reading(name) as path:
                file: BinaryIO = path.open("rb")
        else:
            file = io.BufferedReader(_Ranged(self, name, self.size(name)), READ_AHEAD)
        with file:
            yield file

    def names(self, prefix: str) -> list[str]:
        """Sorted names of the objects below the folder `prefix`; empty where it does not exist."""
        if self.root is not None:
            with self._reading(prefix) as folder:
                found = (Path(top, file) for top, _, files in os.walk(folder, onerror=_unless_gone) for file in files)
                inside = [str(path.relative_to(self.root)) for path in found if path.is_file()]
            return sorted(name for name in inside if not _is_spool(name))
        base = handle(self.url)[1].rstrip("/") + "/"
        folder_url = base + prefix.strip("/") + "/" if prefix else base
        try:
            listed = self._remote(prefix, lambda fs, path: fs.find(path))
        except FileNotFoundError:
            return []
        return sorted(path.removeprefix(base) for path in listed if path.startswith(folder_url))

    def put(self, name: str, source: bytes | Path) -> None:
        """Writes or replaces an object in one step: readers see the old one or the new one."""
        if self.root is not None:
            self._put_local(name, source, replace=True)
        elif isinstance(source, bytes) or source.stat().st_size <= SMALL_PUT:
            data = source if isinstance(source, bytes) else source.read_bytes()
            self._send(name, lambda fs, path: fs.pipe_file(path, data))
        else:
            self._send(name, lambda fs, path: fs.put_file(str(source), path))

    def put_new(self, name: str, source: bytes | Path) -> bool:
        """Writes an object only if none of that name exists; False if one does. (Locally a link, If-None-Match on S3, what
        the driver's `mode="create"` gives elsewhere.) The content passes through memory.

        A try whose answer was lost may have won, and drivers try again behind our back: so an object on S3 carries a mark
        of who made it, and elsewhere what is found after several tries is compared with what we sent.
        """
        if self.root is not None:
            return self._put_local(name, source, replace=False)
        data = source if isinstance(source, bytes) else source.read_bytes()
        mark, tries = secrets.token_hex(16), 0

        def attempt(fs: Any, path: str) -> None:
            nonlocal tries
            tries += 1
            create(fs, path, data, mark)

        try:
            self._send(name, attempt)
        except FileExistsError:
            try:
                return self._remote(name, lambda fs, path: is_made_by(fs, path, data, mark, tries))
            except FileNotFoundError:  # the other's, and deleted since
                return False
        return True

    def delete(self, name: str) -> None:
        """Removes an object; one that is not there is no error."""
        try:
            if self.root is not None:
                with self._reading(name) as path:
                    path.unlink()
            else:
                self._remote(name, lambda fs, path: fs.rm_file(path))
        except FileNotFoundError:
            return

    def delete_below(self, prefix: str) -> None:
        """Removes every object below the folder `prefix` (and, in a local store, the empty folders that are left)."""
        for name in self.names(prefix):
            self.delete(name)
        if self.root is not None and self._path(prefix).is_dir():
            for folder, _, files in os.walk(self._path(prefix), topdown=False):
                for file in files:  # what a killed put left
                    (Path(folder) / file).unlink(missing_ok=True)
                Path(folder).rmdir()

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

    def _put_local(self, name: str, source: bytes | Path, *, replace: bool) -> bool:
        """Spools the content beside its final name, complete and synced, then gives it the name in one step."""
        path = self._path(name)
        spool = path.with_name(f".{path.name}.{secrets.token_hex(8)}.spool")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                _write_synced(spool, source)
                if replace:
                    spool.replace(path)
                else:
                    try:
                        os.link(spool, path)
                    except FileExistsError:
                        return False
                _sync_folder(path.parent)
            finally:
                spool.unlink(missing_ok=True)
        except OSError as error:
            remedy = "choose another output, or mend its rights or its free space"
            raise StoreError(f"cannot write here: {error.strerror}", path, remedy) from error
        return True

    def _send(self, name: str, call: Callable[[Any, str], object]) -> None:
        """`_remote` for writing: where no bucket is, nothing can be put."""
        try:
            self._remote(name, call)
        except FileNotFoundError as error:
            remedy = "make the bucket first, or correct the address"
            raise StoreError(
                "nothing can be put here: no such bucket or folder", self._address(name), remedy
            ) from error

    def _remote(self, name: str, call: Callable[[Any, str], T]) -> T:
        fs, path = handle(self._address(_safe(name)))
        waits = self.retries.waits()
        while True:
            try:
                return call(fs, path)
            except (FileNotFoundError, FileExistsError):
                raise
            except Exception as error:
                if isinstance(error, PERMANENT):
                    where = self._address(name)
                    raise StoreError(f"the store refuses: {told(error)}", where, "check the credentials") from error
                if not is_flaky(error):
                    raise
                wait = next(waits, None)
                if wait is None:
                    what = f"the store failed {self.retries.tries} times, last: {told(error)}"
                    remedy = "check address, network and credentials, then run again"
                    raise StoreError(what, self._address(name), remedy) from error
                time.sleep(wait)


class _Ranged(io.RawIOBase):
    """A remote object as a seekable file whose every read is a ranged read of the store, retries and all."""

    def __init__(self, store: Store, name: str, size: int) -> None:
        self._store, self._name, self._size, self._place = store, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence] + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        data = self._store.read_range(self._name, self._place, min(self._size, self._place + len(buffer)))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def _safe(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise StoreError("a name that would leave the store", name, "names come from the manifest; it was altered")
    return name


def _read_at(descriptor: int, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of a file, fewer where it ends before. One system call gives at most 2 GiB."""
    data = os.pread(descriptor, stop - start, start)
    if 0 < len(data) < stop - start:
        return data + _read_at(descriptor, start + len(data), stop)
    return data


def _write_synced(path: Path, source: bytes | Path) -> None:
    with path.open("xb") as file:
        if isinstance(source, bytes):
            file.write(source)
        else:
            with source.open("rb") as content:
                shutil.copyfileobj(content, file, 1 << 22)
        file.flush()
        os.fsync(file.fileno())


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _is_spool(name: str) -> bool:
    return re.search(r"(^|/)\.[^/]*\.spool$", name) is not None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["Retries", "Store", "handle", "is_local", "local_path"]
