"""Drivers of remote stores: obstore for s3://, fsspec for every other scheme.

A driver makes one try and raises Python's own errors: FileNotFoundError, FileExistsError and PermissionError for
failures that another try cannot fix, and any other OSError for those it may. `tagmill.shards.storage.store` is the only
caller.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.error_verdicts import PERMANENT
from tagmill.shards.storage.listing import Page
from tagmill.shards.storage.s3_credentials import Environment, Keys, aws_environment, key_ring, s3_place

if TYPE_CHECKING:
    from obstore.store import ClientConfig

SINGLE_PUT = 5 << 30  # bytes, S3's limit. Ceph 16 ignores If-None-Match when a multipart upload is completed
PAGE = 1000  # objects in one page of an S3 listing
PUT_MARK = "tagmill-put"  # S3 metadata that identifies the creator of an object
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")  # S3 errors about keys that have expired
PARTS = 9000  # largest number of parts of a multipart upload; S3 allows 10,000

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 10.0  # without a byte of an answer, after which a read is cancelled
SLOWEST = 1 << 20  # bytes a second; a request may take SILENCE_SECONDS plus its length at this rate
LONGEST_SECONDS = 3600.0


class Driver(Protocol):
    """One bucket or filesystem. `path` is inside it. `hedged`: whether a late read may be requested twice at a time."""

    hedged: ClassVar[bool]

    def size(self, path: str) -> int: ...
    def read(self, path: str) -> bytes: ...
    def read_range(self, path: str, start: int, stop: int) -> tuple[bytes, int | None]:
        """Reads bytes [start, stop), fewer only if the object ends before `stop`; returns them and the object's length,
        if the answer contains it."""

    def names(self, folder: str) -> list[str]:
        """Returns the paths that begin with `folder`, which ends with a slash."""

    def page(self, folder: str, after: str | None) -> Page:
        """Returns one page of the objects below `folder`, which ends with a slash; `after` is the token of the previous
        page."""

    def put(self, path: str, source: bytes | Path) -> None: ...
    def create(self, path: str, data: bytes, mark: str) -> None:
        """Makes one put-if-absent. Raises FileExistsError."""

    def is_made_by(self, path: str, data: bytes, mark: str, tries: int) -> bool:
        """Returns whether the object that made `create` or `exchange` fail was written by an earlier try whose answer
        was lost."""

    def exchange(self, path: str, old: bytes, new: bytes, mark: str) -> None:
        """Makes one conditional put over `old`. Raises FileExistsError if the object differs."""

    def delete(self, path: str) -> None: ...
    def renew(self) -> bool | None:
        """Returns whether a refused request may be repeated, because there are new keys now; None if there never are."""


@dataclass(frozen=True)
class FsspecDriver:
    """Every scheme except s3://, by an fsspec filesystem."""

    fs: Any
    hedged: ClassVar[bool] = False

    def size(self, path: str) -> int:
        return int(self.fs.info(path)["size"])

    def read(self, path: str) -> bytes:
        return bytes(self.fs.cat_file(path))

    def read_range(self, path: str, start: int, stop: int) -> tuple[bytes, None]:
        """For a range that begins after the end some stores raise an error, others return nothing."""
        try:
            data = bytes(self.fs.cat_file(path, start=start, end=stop))
        except PERMANENT:
            raise
        except OSError:
            if self.size(path) > start:
                raise
            return b"", None
        if len(data) != stop - start and self.size(path) >= stop:
            raise OSError(f"{len(data)} of {stop - start} bytes arrived")
        return data, None

    def names(self, folder: str) -> list[str]:
        return [path for path in self.fs.find(folder.rstrip("/")) if path.startswith(folder)]

    def page(self, folder: str, after: str | None) -> Page:
        """Returns the whole content of `folder`: fsspec has no listing in pages."""
        found = [each for each in self.fs.ls(folder.rstrip("/"), detail=True) if each["name"].startswith(folder)]
        objects = [(each["name"], int(each["size"])) for each in found if each["type"] == "file"]
        folders = [each["name"].rstrip("/") + "/" for each in found if each["type"] == "directory"]
        return Page([each for each in objects if not each[0].endswith("/")], folders)

    def put(self, path: str, source: bytes | Path) -> None:
        if isinstance(source, bytes):
            self.fs.pipe_file(path, source)
        else:
            self.fs.put_file(str(source), path)

    def create(self, path: str, data: bytes, mark: str) -> None:
        self.fs.pipe_file(path, data, mode="create")

    def is_made_by(self, path: str, data: bytes, mark: str, tries: int) -> bool:
        return tries > 1 and self.read(path) == data

    def exchange(self, path: str, old: bytes, new: bytes, mark: str) -> None:
        if self.read(path) != old:
            raise FileExistsError(errno.EEXIST, "changed", path)
        self.put(path, new)

    def delete(self, path: str) -> None:
        self.fs.rm_file(path)

    def renew(self) -> None:
        """The library renews its keys itself."""


@dataclass
class S3Driver:
    """One bucket, by obstore: its calls release the GIL while they wait, and verify the length of every answer."""

    bucket: str
    hedged: ClassVar[bool] = True
    _signed_with: Keys | None = field(default=None, init=False, compare=False)

    def renew(self) -> bool | None:
        return key_ring(aws_environment()).renew(self._signed_with)

    def size(self, path: str) -> int:
        with _plain_errors(path) as obstore:
            return int(obstore.head(self._client(0), path)["size"])

    def read(self, path: str) -> bytes:
        with _plain_errors(path) as obstore:
            return bytes(obstore.get(self._with_limit(LONGEST_SECONDS), path).bytes())

    def read_range(self, path: str, start: int, stop: int) -> tuple[bytes, int]:
        try:
            with _plain_errors(path) as obstore:
                answer = obstore.get(self._client(stop - start), path, options={"range": (start, stop)})
                return bytes(answer.bytes()), int(answer.meta["size"])
        except _BehindEndError:
            if (size := self.size(path)) > start:
                raise
            return b"", size

    def names(self, folder: str) -> list[str]:
        prefix = folder.strip("/")
        with _plain_errors(folder) as obstore:
            pages = obstore.list(self._client(0), prefix=prefix or None)
            found = [str(each["path"]) for page in pages for each in page]
        return [path for path in found if path.startswith(f"{prefix}/" if prefix else "")]

    def page(self, folder: str, after: str | None) -> Page:
        """Requests one page, because S3 limits its size; one request at a time, so that each can be retried."""
        prefix = folder.strip("/")
        with _plain_errors(folder) as obstore:
            pages = obstore.list(self._client(0), prefix=prefix or None, offset=after, chunk_size=PAGE)
            found = [(str(each["path"]), int(each["size"])) for each in next(pages, [])]
        inside = [each for each in found if each[0].startswith(f"{prefix}/" if prefix else "")]
        return Page(inside, [], found[-1][0] if len(found) == PAGE else None)

    def put(self, path: str, source: bytes | Path) -> None:
        with _plain_errors(path) as obstore:
            if isinstance(source, bytes):
                obstore.put(self._client(len(source), reads=False), path, source, use_multipart=False)
            else:
                part = max(8 << 20, source.stat().st_size // PARTS)
                obstore.put(self._client(part, reads=False), path, source, chunk_size=part)

    def create(self, path: str, data: bytes, mark: str) -> None:
        if len(data) >= SINGLE_PUT:
            raise StoreError("too long for a put-if-absent", path, f"at most {SINGLE_PUT - 1} bytes")
        with _plain_errors(path) as obstore:
            client = self._client(len(data), reads=False)
            obstore.put(client, path, data, use_multipart=False, mode="create", attributes={PUT_MARK: mark})

    def is_made_by(self, path: str, data: bytes, mark: str, tries: int) -> bool:
        with _plain_errors(path) as obstore:
            found = obstore.get(self._client(0), path, options={"head": True})
            return bool(found.attributes.get(PUT_MARK) == mark)

    def exchange(self, path: str, old: bytes, new: bytes, mark: str) -> None:
        with _plain_errors(path) as obstore:
            found = obstore.get(self._client(len(old)), path)
            if bytes(found.bytes()) != old:
                raise FileExistsError(errno.EEXIST, "changed", path)
            # Without its quotes: S3 does not need them, and Ceph 16 does not recognise an ETag with them.
            mode: Any = {"e_tag": str(found.meta["e_tag"]).strip('"')}
            obstore.put(
                self._client(len(new), reads=False),
                path,
                new,
                use_multipart=False,
                mode=mode,
                attributes={PUT_MARK: mark},
            )

    def delete(self, path: str) -> None:
        with _plain_errors(path) as obstore:
            obstore.delete(self._client(0), path)

    def _client(self, num_bytes: int, *, reads: bool = True) -> Any:
        """Returns a client with a time limit for an answer or a body of that many bytes. The limit belongs to a client,
        so limits are rounded to powers of 2."""
        seconds = 2 * SILENCE_SECONDS
        while seconds < SILENCE_SECONDS + num_bytes / SLOWEST:
            seconds *= 2
        return self._with_limit(seconds, reads=reads)

    def _with_limit(self, seconds: float, *, reads: bool = True) -> Any:
        environment = aws_environment()
        ring = key_ring(environment)
        self._signed_with = None if ring.unsigned else ring.current()
        return _client(self.bucket, seconds, reads, environment, self._signed_with)


@lru_cache(maxsize=64)
def _client(bucket: str, seconds: float, reads: bool, environment: Environment, keys: Keys | None) -> Any:
    """Returns a client with its own connections. The client makes no retries: Store makes them."""
    from obstore.store import S3Store

    settings: Any = s3_place(environment)
    limits: ClientConfig = {
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=seconds),
        "allow_http": settings.get("endpoint", "").startswith("http://"),
    }
    if reads:
        limits["read_timeout"] = timedelta(seconds=SILENCE_SECONDS)
    if keys is None:
        settings = {**settings, "skip_signature": True}
    else:
        settings = {**settings, "credential_provider": lambda: {**keys._asdict(), "expires_at": None}}
    return S3Store(bucket, client_options=limits, retry_config={"max_retries": 0}, disable_bulk_delete=True, **settings)


class _BehindEndError(OSError):
    """A range that begins after the end of its object."""


_FIRST_USE: list[int] = []  # the process that started obstore's threads


@contextmanager
def _plain_errors(path: str) -> Iterator[Any]:
    """Calls obstore and raises its errors as Python's own. A forked process lacks obstore's threads and would wait for
    ever, so it raises an error."""
    try:
        import obstore
        from obstore import exceptions
    except ImportError as error:
        raise StoreError(f"cannot connect to this store: {error}", path, "pip install 'tagmill[s3]'") from error
    if not _FIRST_USE:
        _FIRST_USE.append(os.getpid())
    if _FIRST_USE[0] != os.getpid():
        remedy = "start worker processes by spawn or forkserver"
        raise StoreError("this process was forked from one that had already used S3", path, remedy)
    try:
        yield obstore
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "no such object", path) from error
    except exceptions.BaseError as error:
        raise _plain(error, path) from error


def _plain(error: Exception, path: str) -> OSError:
    """Returns Python's error for an obstore error, by the HTTP status, which only its text contains."""
    text = str(error).partition("\n")[0]
    status, code = (re.search(pattern, text) for pattern in (r"status code: (\d{3})", r"<Code>(\w+)</Code>"))
    number, reason = int(status[1]) if status else 0, code[1] if code else ""
    line = " ".join(re.sub(r"<\?xml.*", "", re.sub(r"^Generic S3 error: ", "", text)).split())
    line = f"{reason} {line}".strip() + "".join(f" ({cause})" for cause in _causes(str(error)))
    if reason in EXPIRED:
        return PermissionError(errno.EKEYEXPIRED, line, path)
    if number == 404:
        return FileNotFoundError(errno.ENOENT, f"no such object: {line}", path)
    if number == 412 or type(error).__name__ in ("AlreadyExistsError", "PreconditionError"):
        return FileExistsError(errno.EEXIST, "exists", path)
    if number == 416:
        return _BehindEndError(errno.EINVAL, line)
    if type(error).__name__ in ("InvalidPathError", "UnknownConfigurationKeyError", "NotSupportedError"):
        return PermissionError(errno.EINVAL, line, path)
    if 300 <= number < 500 and number not in (408, 409, 429) and reason not in ("RequestTimeout", "SlowDown"):
        return PermissionError(errno.EACCES, line, path)
    return OSError(errno.EIO, line)


def _causes(text: str) -> list[str]:
    """Returns the network errors in the chain of obstore's causes: 'ConnectionRefused', 'TimedOut'."""
    return sorted(set(re.findall(r"ConnectionRefused|ConnectionReset|TimedOut|IncompleteMessage|UnexpectedEof", text)))
