"""The clients of obstore: one of a bucket for reads and few for writes, each with its connections, which it reuses.

The time limit of a request belongs to its client, so requests are in classes by their length: a reader of chunks has one
client. A client is kept for as long as the settings and keys do not change. It makes no retries: `retry` makes them.
"""

import errno
import os
import re
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.remote.answers import plain_error
from tagmill.shards.storage.remote.places import Place

if TYPE_CHECKING:
    from obstore.store import ClientConfig

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 10.0  # without a byte of an answer, after which a read is cancelled
SLOWEST = 1 << 20  # bytes a second; a request may take twice SILENCE_SECONDS plus its length at this rate
LONGEST_SECONDS = 3600.0
SHORT_READ = 50 << 20  # bytes of the longest read of the usual client
# Bytes of the longest write of a class: markers and parts of a file, files in one request.
WRITES = (10 << 20, 70 << 20)
KEPT_BLOCK = 8 << 20  # bytes: an answer and what is copied out of it, for the usual chunks
SERVICE_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}

Settings = tuple[tuple[str, Any], ...]


class Patience(NamedTuple):
    """Seconds that a client waits: for the next byte of an answer (None: no limit), and for a request in all."""

    silence: float | None
    total: float


def reading(num_bytes: int = 0) -> Patience:
    """Returns the limits of a read: silence ends it early, and a slow body at the end of its class."""
    return Patience(SILENCE_SECONDS, _total(SHORT_READ) if num_bytes <= SHORT_READ else LONGEST_SECONDS)


def writing(num_bytes: int) -> Patience:
    """Returns the limits of a write: while its body is sent no answer arrives, so only the total is limited."""
    for longest in WRITES:
        if num_bytes <= longest:
            return Patience(None, _total(longest))
    return Patience(None, LONGEST_SECONDS)


def _total(num_bytes: int) -> float:
    return 2 * SILENCE_SECONDS + num_bytes / SLOWEST


@lru_cache(maxsize=64)
def client(
    place: Place, patience: Patience, settings: Settings, context: Hashable, keys: Settings | None, retries: int = 0
) -> Any:
    """Returns the client of a bucket with these limits. `context` is what else it depends on: obstore reads variables
    itself. `keys` sign requests to S3; the other services find theirs."""
    from obstore import store

    given = dict(settings)
    options: ClientConfig = {
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=patience.total),
        "allow_http": "use_emulator" in given or _is_plain(given.get("endpoint") or given.get("base_url")),
    }
    if patience.silence is not None:
        options["read_timeout"] = timedelta(seconds=patience.silence)
    if headers := given.pop("headers", None):
        options["default_headers"] = dict(headers)
    if keys is not None:
        signed = dict(keys)
        given["credential_provider"] = lambda: {**signed, "expires_at": None}
    kind = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[place.service]
    try:
        return kind(place.bucket, client_options=options, retry_config={"max_retries": retries}, **given)
    except Exception as error:
        line = " ".join(str(error).partition("\n\nDebug source:")[0].split())
        remedy = "correct the variables that name its account and keys"
        raise StoreError(
            f"cannot connect to this store: {line}", f"{place.service}://{place.bucket}", remedy
        ) from error


def _is_plain(url: str | None) -> bool:
    return url is not None and url.startswith("http://")


def keep_freed_memory() -> None:
    """Makes malloc of glibc keep freed memory of up to twice KEPT_BLOCK instead of returning it to the system.

    Otherwise each answer of a megabyte is new memory, and its page faults cost more than the request. glibc raises its
    thresholds when a block that was mapped is freed (mallopt(3), M_MMAP_THRESHOLD). It does not where MALLOC_ variables set
    them; other allocators are not concerned.
    """
    bytes(KEPT_BLOCK)  # allocated by calloc, and freed at once: its pages are not touched


_FIRST_USE: list[int] = []  # the process that started obstore's threads


@contextmanager
def connected(path: str, service: str) -> Iterator[Any]:
    """Calls obstore and raises its errors as Python's own. A forked process lacks obstore's threads and would wait for
    ever, so it raises an error."""
    try:
        import obstore
        from obstore import exceptions
    except ImportError as error:
        remedy = f"pip install 'tagmill[{SERVICE_EXTRAS[service]}]'"
        raise StoreError(f"cannot connect to this store: {error}", path, remedy) from error
    if not _FIRST_USE:
        keep_freed_memory()
        _FIRST_USE.append(os.getpid())
    if _FIRST_USE[0] != os.getpid():
        remedy = "start worker processes by spawn or forkserver"
        raise StoreError("this process was forked from one that had already used S3", path, remedy)
    try:
        yield obstore
    except FileNotFoundError as error:
        missing = "bucket" if re.search("NoSuchBucket|ContainerNotFound", str(error)) else "object"
        raise FileNotFoundError(errno.ENOENT, f"no such {missing}", path) from error
    except exceptions.BaseError as error:
        raise plain_error(error, path) from error
