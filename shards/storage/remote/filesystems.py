"""Filesystems for reading, with the methods of fsspec: patterns, folders and files for readers of tables.

Buckets and hf:// are read by the driver of the store, with its retries, so no other package opens them.
"""

import io
from typing import Any

from fsspec import AbstractFileSystem

from tagmill.shards.storage.address import is_local, local_path
from tagmill.shards.storage.remote.opening import fsspec_filesystem
from tagmill.shards.storage.remote.places import place_of
from tagmill.shards.storage.remote.remote_store import RemoteStore
from tagmill.shards.storage.retry import Retries, tried
from tagmill.shards.storage.seekable import Seekable

BLOCK = 1 << 20  # bytes that an open file reads at a time


class BucketFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The buckets of one scheme, or the Hub. A path is `bucket/name`, as in the address after `://`."""

    cachable = False

    def __init__(self, scheme: str) -> None:
        super().__init__(scheme)
        self.protocol = scheme

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Lists a folder, or the one object of this name. Raises FileNotFoundError."""
        path = self._strip_protocol(path)
        found = self._folder(path) or [self._file(path, self._store(path).size(self._name(path)))]
        return found if detail else [each["name"] for each in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Describes an object or a folder. Raises FileNotFoundError."""
        path = self._strip_protocol(path)
        if self._name(path):
            try:
                return self._file(path, self._store(path).size(self._name(path)))
            except FileNotFoundError:
                pass
        if self._folder(path):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: Any
    ) -> Any:
        """Lists all objects below a folder, by one request for a thousand."""
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail)
        path = self._strip_protocol(path)
        bucket = path.partition("/")[0]
        listed = self._store(path).listing(self._name(path))
        found = {f"{bucket}/{name}": self._file(f"{bucket}/{name}", size) for name, size in sorted(listed)}
        if not found and self.isfile(path):
            found = {path: self.info(path)}
        return found if detail else list(found)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Reads an object, or bytes [start, end) of it; negative ones count from its end. Raises FileNotFoundError."""
        path = self._strip_protocol(path)
        store, name = self._store(path), self._name(path)
        if start is None and end is None:
            return store.read(name)
        first, last, _step = slice(start, end).indices(store.size(name))
        return store.read_ranges(name, [(first, last)], None).found[0] if last > first else b""

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        if mode != "rb":
            raise NotImplementedError("this filesystem only reads: write by Store")
        path = self._strip_protocol(path)
        store, name = self._store(path), self._name(path)

        def read(start: int, stop: int) -> bytes:
            return store.read_ranges(name, [(start, stop)], None).found[0]

        return io.BufferedReader(Seekable(read, store.size(name)), BLOCK)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.partition("://")[2].rstrip("/") if "://" in path else path.strip("/")

    def _store(self, path: str) -> RemoteStore:
        return RemoteStore(f"{self.protocol}://{path.partition('/')[0]}", Retries())

    def _name(self, path: str) -> str:
        return path.partition("/")[2]

    def _file(self, path: str, size: int) -> dict[str, Any]:
        return {"name": path, "size": size, "type": "file"}

    def _folder(self, path: str) -> list[dict[str, Any]]:
        bucket, _, name = path.partition("/")
        try:
            page = self._store(path).folder(name)
        except FileNotFoundError:
            return []
        files = [self._file(f"{bucket}/{each}", size) for each, size in page.objects]
        folders = [f"{bucket}/{each.rstrip('/')}" for each in page.folders]
        return files + [{"name": each, "size": 0, "type": "directory"} for each in folders]


class _RetryingFilesystem:
    """An fsspec filesystem whose calls are retried, and whose errors are explained, as those of a Store."""

    def __init__(self, fs: Any, url: str) -> None:
        self._fs = fs
        self._url = url

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._fs, name)
        return lambda *given, **named: tried(Retries(), self._url, lambda: call(*given, **named))


def handle(url: str) -> tuple[Any, str]:
    """Returns a filesystem with fsspec's methods for reading, and the path inside it for `url`; readers of tables use it.

    Raises StoreError if a package is missing.
    """
    if is_local(url):
        return fsspec_filesystem(str(local_path(url)))
    if place_of(url) is not None or url.startswith("hf://"):
        return BucketFileSystem(url.partition("://")[0]), BucketFileSystem._strip_protocol(url)
    return fsspec_filesystem(url)


def retrying_filesystem(url: str) -> tuple[Any, str]:
    """Returns `handle` with retries, for methods that Store lacks, such as patterns: they raise FileNotFoundError and
    StoreError as a Store does."""
    if is_local(url):
        return handle(url)
    fs, path = tried(Retries(), url, lambda: handle(url))
    return (fs if isinstance(fs, BucketFileSystem) else _RetryingFilesystem(fs, url)), path
