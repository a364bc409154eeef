"""What the drivers of remote stores do each in its own way: create, ranged reads, and how they tell what went wrong.

`fs` is an fsspec filesystem; `tagmill.shards.store` makes it and is the only caller.
"""

import errno
from typing import Any

from tagmill.shards.errors import StoreError

# What another try cannot heal. Every other OSError (timeouts, resets, 5xx as fsspec raises them) is tried again, and so is
# what these libraries let through as it is: a refused connection is no OSError to botocore.
PERMANENT = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
NETWORK_LIBRARIES = frozenset(["botocore", "aiobotocore", "aiohttp", "fsspec", "gcsfs", "google", "azure", "http"])

SINGLE_PUT = 5 << 30  # bytes, S3's limit. Ceph 16 ignores If-None-Match where a multipart upload is completed
PUT_MARK = "tagmill-put"  # S3 metadata that tells who made an object


def is_flaky(error: Exception) -> bool:
    """Whether an error is the world's, so that another try may heal it, and not a mistake of ours."""
    library = type(error).__module__.split(".")[0]
    return not isinstance(error, PERMANENT) and (isinstance(error, OSError) or library in NETWORK_LIBRARIES)


def _is_s3(fs: Any) -> bool:
    return "s3" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def create(fs: Any, path: str, data: bytes, mark: str) -> None:
    """One put-if-absent. Raises FileExistsError; a store that says only 'precondition failed' (Ceph) means that."""
    if not _is_s3(fs):
        fs.pipe_file(path, data, mode="create")
        return
    if len(data) >= SINGLE_PUT:
        raise StoreError("too long to be put if absent", path, f"at most {SINGLE_PUT - 1} bytes")
    try:
        fs.pipe_file(path, data, chunksize=SINGLE_PUT, mode="create", Metadata={PUT_MARK: mark})
    except OSError as error:
        if _code(error) in ("PreconditionFailed", "412"):
            raise FileExistsError(errno.EEXIST, "exists", path) from error
        raise


def _code(error: BaseException) -> str:
    """The store's own code of an error that a driver translated, '' where there is none."""
    response = getattr(error.__cause__, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def told(error: BaseException) -> str:
    """What an error says, in a line: drivers leave some without words."""
    return " ".join(filter(None, [_code(error), str(error).removesuffix("None").strip() or type(error).__name__]))


def is_made_by(fs: Any, path: str, data: bytes, mark: str, tries: int) -> bool:
    """Whether an object that stood in the way of `create` is ours after all, made by a try whose answer was lost."""
    if _is_s3(fs):
        return bool(fs.getxattr(path, PUT_MARK) == mark)
    return tries > 1 and bool(fs.cat_file(path) == data)


def ranged(fs: Any, path: str, start: int, stop: int) -> bytes:
    """One ranged read, fewer bytes only where the object ends before `stop`. A range that begins behind the end is an error
    to some stores and empty to others; a short answer inside the object is flaky, and tried again.
    """
    try:
        data = bytes(fs.cat_file(path, start=start, end=stop))
    except PERMANENT:
        raise
    except OSError:
        if fs.info(path)["size"] > start:
            raise
        return b""
    if len(data) != stop - start and fs.info(path)["size"] >= stop:
        raise OSError(f"{len(data)} of {stop - start} bytes came")
    return data
