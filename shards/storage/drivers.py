"""What the drivers of remote stores do each in its own way: obstore for s3://, fsspec for every other scheme.

A driver asks once and says what went wrong in Python's own errors: FileNotFoundError, FileExistsError, PermissionError for
what another try cannot heal, and any other OSError for what it may. `tagmill.shards.storage.store` is the only caller.
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

SINGLE_PUT = 5 << 30  # bytes, S3's limit. Ceph 16 ignores If-None-Match where a multipart upload is completed
PAGE = 1000  # objects of a listing that S3 gives at once
PUT_MARK = "tagmill-put"  # S3 metadata that tells who made an object
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")  # what S3 says of keys that were good
PARTS = 9000  # of a multipart upload at most; S3 allows 10,000

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 10.0  # without a byte of an answer, after which a read is given up
SLOWEST = 1 << 20  # bytes a second; a request may take SILENCE_SECONDS and its length at this rate
LONGEST_SECONDS = 3600.0


class Driver(Protocol):
    """One bucket or filesystem. `path` is that inside it. `hedged`: whether a late read may be asked for twice at a time."""

    hedged: ClassVar[bool]

    def size(self, path: str) -> int: ...
    def read(self, path: str) -> bytes: ...
    def read_range(self, path: str, start: int, stop: int) -> tuple[bytes, int | None]:
        """Bytes [start, stop), fewer only where the object ends before `stop`; and its length, where the answer tells it."""

    def names(self, folder: str) -> list[str]:
        """Paths that begin with `folder`, which ends with a slash."""

    def page(self, folder: str, after: str | None) -> Page:
        """Some of what lies below `folder`, which ends with a slash; `after` is what the page before said."""

    def put(self, path: str, source: bytes | Path) -> None: ...
    def create(self, path: str, data: bytes, mark: str) -> None:
        """One put-if-absent. Raises FileExistsError."""

    def is_made_by(self, path: str, data: bytes, mark: str, tries: int) -> bool:
        """Whether what stood in the way of `create` or `exchange` is ours after all, made by a try whose answer was lost."""

    def exchange(self, path: str, old: bytes, new: bytes, mark: str) -> None:
        """One put over `old`. Raises FileExistsError where something else is there."""

    def delete(self, path: str) -> None: ...
    def renew(self) -> bool | None:
        """Whether what was refused may be asked again, as there are other keys now; None where there never are."""


@dataclass(frozen=True)
class FsspecDriver:
    """Every scheme but s3://, by an fsspec filesystem."""

    fs: Any
    hedged: ClassVar[bool] = False

    def size(self, path: str) -> int:
        return int(self.fs.info(path)["size"])

    def read(self, path: str) -> bytes:
        return bytes(self.fs.cat_file(path))

    def read_range(self, path: str, start: int, stop: int) -> tuple[bytes, None]:
        """A range that begins behind the end is an error to some stores and empty to others."""
        try:
            data = bytes(self.fs.cat_file(path, start=start, end=stop))
        except PERMANENT:
            raise
        except OSError:
            if self.size(path) > start:
                raise
            return b"", None
        if len(data) != stop - start and self.size(path) >= stop:
            raise OSError(f"{len(data)} of {stop - start} bytes came")
        return data, None

    def names(self, folder: str) -> list[str]:
        return [path for path in self.fs.find(folder.rstrip("/")) if path.startswith(folder)]

    def page(self, folder: str, after: str | None) -> Page:
        """What lies in `folder` itself, at once: fsspec has no listing in pages."""
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
        """Keys are the library's own to renew."""


@dataclass
class S3Driver:
    """One bucket, by obstore: its calls release the interpreter while they wait, and verify the length of every answer."""

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
        """A page is one request, as S3 gives no more than so many at a time; asked for alone, so that it can be tried again."""
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
            raise StoreError("too long to be put if absent", path, f"at most {SINGLE_PUT - 1} bytes")
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
            # Without its quotes, which S3 does not need, and with which Ceph 16 takes no tag for its own.
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
        """One whose limit suits an answer or a body of so many bytes: the limit is a client's, so they come in powers of 2."""
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
    """A bucket's client with its own connections. Every try is ours: the client makes none by itself."""
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
    """A range that begins behind the end of its object."""


_FIRST_USE: list[int] = []  # the process that began obstore's threads


@contextmanager
def _plain_errors(path: str) -> Iterator[Any]:
    """obstore, and what it raises as Python's own errors. Its threads do not live on in a forked process, where it would
    wait for ever."""
    try:
        import obstore
        from obstore import exceptions
    except ImportError as error:
        raise StoreError(f"no way to reach this store: {error}", path, "pip install 'tagmill[s3]'") from error
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
    """An obstore error by the status that the store gave, which stands in its text alone."""
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
    """What the network said, from obstore's account of its sources: 'ConnectionRefused', 'TimedOut'."""
    return sorted(set(re.findall(r"ConnectionRefused|ConnectionReset|TimedOut|IncompleteMessage|UnexpectedEof", text)))
