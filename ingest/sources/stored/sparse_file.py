"""Reads a remote tar by small requests: headers and metadata are fetched, the images between them are not.

The bytes between two images (headers, metadata, and the next image's header) are a stretch. A stretch is fetched by one
request where its length can be foretold: from the last ones, or from DALI's index beside the tar. Members below
PASSED_OVER are read through, because a request costs more than their bytes: a tar of small images is read whole,
by large requests.
"""

import io
import os
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import BinaryIO, cast

from tagmill.ingest.sources.decompress import naming_input, open_input
from tagmill.ingest.sources.inputs import IMAGE_SUFFIXES
from tagmill.shards.formats.shard_index import TAR_BLOCK, padded
from tagmill.shards.storage.store import Store
from tagmill.shards.storage.threads import DaemonPool

PASSED_OVER = 8192  # bytes; shorter gaps between what is read are fetched with it
FIRST_BYTES = 4096  # of a stretch, while no length is known
LONG_STRETCH = 1 << 14  # bytes; no images are passed over here, or they are shorter than the rest
MOST_BYTES = 1 << 18  # of one request that reads on; it grows with the stretch
SHARE_OVER = 0.04  # bytes of an image that may be fetched in vain, on average, so that one request fetches a stretch
STRETCHES_KEPT = 16  # last lengths from which the next is foretold
HURRY_BYTES = 1 << 20  # of one request of a reader that has lost its patience
INDEX_BYTES = 1 << 26  # of DALI's index; a longer one is not read
STRETCH_BYTES = 1 << 16  # of a stretch that an index names are fetched ahead


class SparseFile(io.RawIOBase):
    """A file of `length` bytes; `fetch(start, stop)` makes one request.

    `known` has the places of stretches, ascending: `ahead` of them are fetched at a time, by threads. They are hints; where
    they are wrong, the bytes are fetched when they are read. After `patience` requests it reads on by HURRY_BYTES.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], bytes],
        length: int,
        known: Sequence[tuple[int, int]] = (),
        ahead: int = 1,
        patience: int | None = None,
    ) -> None:
        self._fetch, self._length = fetch, length
        self._offset = 0
        self._start, self._data = 0, b""  # the last answer
        self._begun, self._end = 0, 0  # of the stretch that is being read: where it begins, and what was read of it
        self._lengths: deque[int] = deque(maxlen=STRETCHES_KEPT)
        self._gaps: deque[int] = deque(maxlen=STRETCHES_KEPT)  # bytes passed over
        self._allowance = float(FIRST_BYTES)  # bytes that may be fetched in vain
        self._requests, self._patience = 0, patience
        self._known = _Ahead(fetch, known, ahead) if known and ahead > 1 else None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._offset = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self._length}[whence] + offset
        return self._offset

    def close(self) -> None:
        if self._known:
            self._known.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """Returns `size` bytes, fewer only at the end of the file."""
        offset = self._offset
        stop = self._length if size < 0 else min(self._length, offset + size)
        if stop <= offset:
            return b""
        begins = not self._end <= offset < self._end + PASSED_OVER
        if begins:
            self._begin(offset)
        reached = self._start + len(self._data)
        if not self._start <= offset <= reached:
            self._start, self._data, reached = offset, b"", offset
        if stop > reached:
            self._data = self._data[offset - self._start :] + self._further(reached, stop, begins)
            self._start = offset
        self._offset = self._end = stop
        return self._data[offset - self._start : stop - self._start]

    def _begin(self, offset: int) -> None:
        """Ends a stretch, from which the next ones are foretold, and begins one."""
        if self._begun:  # the first has only one header
            self._lengths.append(self._end - self._begun)
        gap = offset - self._end
        self._gaps.append(max(gap, 0))
        self._allowance += SHARE_OVER * max(gap, 0) - max(0, self._start + len(self._data) - self._end)
        self._begun = offset

    def _further(self, start: int, stop: int, begins: bool) -> bytes:
        """Fetches bytes from `start` on, at least until `stop`."""
        known = self._known.take(start) if self._known and (begins or start == 0) else None
        if known is not None and len(known) >= stop - start:
            return known
        self._requests += 1
        if self._patience is not None and self._requests > self._patience:
            wanted = HURRY_BYTES
        elif begins:
            wanted = self._foretold()
        else:  # as much again as the stretch has already; of a short one only while little was fetched in vain
            so_far = start - self._begun
            wanted = min(max(TAR_BLOCK, so_far), MOST_BYTES)
            wanted = wanted if so_far >= LONG_STRETCH else min(wanted, int(self._allowance))
        return self._fetch(start, min(self._length, max(stop, start + wanted)))

    def _foretold(self) -> int:
        """Returns the longest of the last lengths of which few bytes would have been fetched in vain."""
        if not self._lengths:
            return FIRST_BYTES
        allowed = SHARE_OVER * sum(self._gaps) / len(self._gaps)
        lengths = sorted(self._lengths, reverse=True)
        for length in lengths:
            if sum(length - min(length, each) for each in lengths) / len(lengths) <= allowed:
                return length
        return lengths[-1]


class _Ahead:
    """Fetches known stretches ahead of the reader, `ahead` at a time."""

    def __init__(self, fetch: Callable[[int, int], bytes], known: Sequence[tuple[int, int]], ahead: int) -> None:
        self._fetch, self._known, self._ahead = fetch, known, ahead
        self._starts = [start for start, _ in known]
        self._asked: dict[int, Future[bytes]] = {}
        self._next = 0
        self._pool = DaemonPool(ahead, "tagmill-tar")

    def take(self, start: int) -> bytes | None:
        """Returns the stretch that begins at `start`, None where none does."""
        number = bisect_left(self._starts, start)
        if number == len(self._starts) or self._starts[number] != start:
            return None
        for passed in [each for each in self._asked if each < number]:
            del self._asked[passed]
        self._next = max(self._next, number)
        while self._next < min(number + self._ahead, len(self._known)):
            self._asked[self._next] = self._pool.submit(self._fetch, *self._known[self._next])
            self._next += 1
        asked = self._asked.pop(number, None)
        return None if asked is None else asked.result()

    def close(self) -> None:
        self._pool.stop()


def stretches(index: bytes, length: int) -> list[tuple[int, int]]:
    """Returns the ranges [start, stop) between the images that DALI's index of a tar names; none for a broken index."""
    lines = index.decode("utf-8", "replace").splitlines()
    fields = (
        4 if lines and lines[0].startswith("v1.2") else 3
    )  # of a member: suffix, offset, size, and from v1.2 the name
    images: list[tuple[int, int]] = []
    try:
        for line in lines[1:]:
            words = line.split()
            members = (words[first : first + 3] for first in range(0, len(words) - fields + 1, fields))
            images += [(int(offset), int(size)) for suffix, offset, size in members if suffix.lower() in IMAGE_SUFFIXES]
    except ValueError:
        return []
    found, start = [], 0
    for offset, size in images:
        if not start < offset <= offset + size <= length:
            return []
        found.append((start, min(offset, start + STRETCH_BYTES)))
        start = offset + padded(size)
    return [*found, (start, min(length, start + STRETCH_BYTES))] if images and start < length else found


@contextmanager
def open_sparse(url: str, ahead: int = 1, patience: int | None = None) -> Iterator[tuple[BinaryIO, int]]:
    """Opens a tar for reading headers, and returns its length. On the disk of this machine it is a plain file.

    `ahead` requests are in flight at a time where DALI's index is beside the tar (NAME.idx for NAME.tar). Errors are
    those of `open_input`.
    """
    folder, _, name = url.rpartition("/")
    store = Store(folder or "/")
    if store.root is not None:
        with open_input(url) as plain:
            yield plain, plain.seek(0, os.SEEK_END)
        return
    with naming_input(url):
        length = store.size(name)
        known = stretches(_index_of(store, name), length) if ahead > 1 else []
        fetch = lambda start, stop: store.read_range(name, start, stop, length)  # noqa: E731
        with SparseFile(fetch, length, known, ahead, patience) as file:
            yield cast(BinaryIO, file), length


def _index_of(store: Store, name: str) -> bytes:
    """Reads DALI's index beside a tar; nothing where there is none."""
    index = name.removesuffix(".tar") + ".idx"
    try:
        return store.read(index) if index != name and store.size(index) <= INDEX_BYTES else b""
    except FileNotFoundError:
        return b""
