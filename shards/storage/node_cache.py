"""A node's cache of what it read from a store: shared by the processes of the machine, bounded, least recently used
first out.

An object is one sparse file, named by the content of the whole object (`identity_of`), so it is never stale. It holds
the object's blocks at their offsets, then a crc32 for each block (0: absent) and the object's length. A block's crc32
is written after the block. Both pass through the page cache, where every process sees them in this order. A power loss
might keep one and not the other, so each boot uses a new folder. So a killed process leaves no wrong data, and deleting
under a reader's open file is harmless.
"""

import fcntl
import hashlib
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagmill.shards.checksum import crc32
from tagmill.shards.storage.counters import STORE_COUNTERS
from tagmill.shards.storage.marked_folder import claim, discard
from tagmill.shards.storage.ranged_reads import Ranges, cut
from tagmill.shards.storage.store import Store

log = logging.getLogger(__name__)

DISK_BLOCK = 4096  # bytes, the allocation unit of file systems
GAP_BLOCKS = 32  # present blocks between two stretches that are fetched again to save a request
CRC = np.dtype("<u4")
SIZE_CHECKS_A_LIMIT = 128  # a process measures the folder each time it has added this fraction of the limit
FULL, EMPTIED = (
    15 / 16,
    7 / 8,
)  # of the limit: when deletion starts and where it stops. The rest is for what other ranks add
LARGEST = 1 / 8  # of the limit, that one read may add
LONGEST = 1 << 60  # bytes of an object; a longer one is an error in some table
STALE_SECONDS = 600.0  # age at which an unnamed file belongs to a killed process
BOOT = Path("/proc/sys/kernel/random/boot_id")
CACHE_FOLDER = "tagmill-cache"  # cache folder inside the given one, which may hold other files
OBJECT = re.compile(r"[0-9a-f]{64}")  # names of files that hold objects

Fetch = Callable[[int, int], bytes]


def identity_of(digest: bytes, name: str) -> str:
    """Returns the identity of an object's content: the digest of the manifest or view that describes it, and its name
    there. (An extended corpus is cached again: planning does not map the digests of single objects.)"""
    return hashlib.sha256(digest + name.encode()).hexdigest()


class Cache:
    """Copies of objects in a folder of this machine, at most `limit` bytes of disk for up to eight processes that add.

    They are in a cache folder inside `folder`, one for each boot. A cache deletes only folders with its marker and its
    own object files; `folder` may hold other files.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.limit = limit
        self._boot = BOOT.read_text().strip() if BOOT.exists() else "boot"
        self.folder = folder / CACHE_FOLDER / self._boot
        self._lock = threading.Lock()
        self._added = limit
        self._warned = False
        for other in self.folder.parent.glob("*"):
            if other != self.folder:
                discard(other)

    def read(self, identity: str, size: int, start: int, stop: int, fetch: Fetch, *, verify: bool) -> bytes:
        """Reads bytes [start, stop) of the object `identity` of `size` bytes; `fetch(start, stop)` reads absent bytes
        from the store.

        `verify` compares every block with its crc32, for objects whose readers have no checksum of their own. If the
        folder cannot be used, everything is fetched, and the log says so once.
        """
        first, last = start // DISK_BLOCK, -(-stop // DISK_BLOCK)
        with self._file(identity, size) as file:
            if file is None:
                return self._fetched(fetch, start, stop)
            present = self._present(file, size, first, last, verify)
            if present is None:
                return self._fetched(fetch, start, stop)
            data, absent = present
            base = first * DISK_BLOCK
            for low, high in _stretches(np.flatnonzero(absent)):
                begin, end = base + low * DISK_BLOCK, min(size, base + high * DISK_BLOCK)
                part = self._fetched(fetch, begin, end)
                data[begin - base : end - base] = part
                self._keep(file, size, begin, part)
            STORE_COUNTERS.add(cache_bytes=min(int(np.count_nonzero(~absent)) * DISK_BLOCK, stop - start))
            return bytes(memoryview(data)[start - base : stop - base])

    def _present(
        self, file: int, size: int, first: int, last: int, verify: bool
    ) -> tuple[bytearray, npt.NDArray[np.bool_]] | None:
        """Reads the blocks [first, last) and a mask of the absent ones; returns None if the disk fails."""
        found = None
        with self._excused():
            crcs = _crcs(file, size, first, last)  # before the blocks: a block with a crc32 is complete
            data = bytearray(os.pread(file, min(size, last * DISK_BLOCK) - first * DISK_BLOCK, first * DISK_BLOCK))
            found = data, crcs != _crcs_of(data) if verify else crcs == 0
        return found

    def forget(self, identity: str, size: int, start: int, stop: int) -> None:
        """Drops bytes [start, stop) of an object, so that they are fetched again."""
        first, last = start // DISK_BLOCK, -(-stop // DISK_BLOCK)
        with self._file(identity, size) as file, self._excused():
            if file is not None:
                os.pwrite(file, bytes(CRC.itemsize * (last - first)), _crc_offset(size, first))

    def _fetched(self, fetch: Fetch, start: int, stop: int) -> bytes:
        STORE_COUNTERS.add(cache_missed_bytes=stop - start)
        return fetch(start, stop)

    def _keep(self, file: int, size: int, start: int, data: bytes) -> None:
        """Writes whole blocks, then their crc32s."""
        with self._excused():
            # A nearly full disk takes a part of the data, without an error.
            if self._has_room(len(data)) and os.pwrite(file, data, start) == len(data):
                os.pwrite(file, _crcs_of(data).tobytes(), _crc_offset(size, start // DISK_BLOCK))

    @contextmanager
    def _file(self, identity: str, size: int) -> Iterator[int | None]:
        """Opens the object's file; returns None if that fails."""
        descriptor: int | None = None
        with self._excused():
            descriptor = self._opened(identity, size)
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _opened(self, identity: str, size: int) -> int | None:
        if not OBJECT.fullmatch(identity) or size > LONGEST:
            return None
        path = self.folder / identity
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            self._make(path, size)
            descriptor = os.open(path, os.O_RDWR)
        if os.fstat(descriptor).st_size != _crc_offset(size, _blocks(size)):
            os.close(descriptor)
            return None
        os.utime(descriptor)
        return descriptor

    def _make(self, path: Path, size: int) -> None:
        """Creates an empty file that gets its name once it has its length; the first process wins."""
        claim(self.folder, mode=0o700)
        new = path.with_name(f".{secrets.token_hex(8)}.new")
        try:
            with new.open("xb") as file:
                file.truncate(_crc_offset(size, _blocks(size)))
            with suppress(FileExistsError):
                os.link(new, path)
        finally:
            new.unlink(missing_ok=True)

    def _has_room(self, added: int) -> bool:
        """Returns whether that many more bytes may be written; deletes the least recently used files if the folder is
        full."""
        if added > self.limit * LARGEST:
            return False
        with self._lock:
            self._added += added
            if self._added < self.limit // SIZE_CHECKS_A_LIMIT:
                return True
            with (self.folder / ".lock").open("wb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:  # another process is deleting now; this read is not kept
                    return False
                self._make_room(added)
            self._added = 0
        return True

    def _make_room(self, added: int) -> None:
        files = []
        for each in os.scandir(self.folder):
            with suppress(FileNotFoundError):
                found = each.stat()
                if re.fullmatch(r"\.[0-9a-f]{16}\.new", each.name) and time.time() - found.st_mtime > STALE_SECONDS:
                    Path(each.path).unlink()
                elif OBJECT.fullmatch(each.name):
                    files.append((found.st_mtime, found.st_blocks * 512, each.path))
        total = added + sum(used for _, used, _ in files)
        if total <= self.limit * FULL:
            return
        for _, used, path in sorted(files):
            if total <= self.limit * EMPTIED:
                break
            Path(path).unlink(missing_ok=True)
            total -= used

    @contextmanager
    def _excused(self) -> Iterator[None]:
        """Ignores a full or missing disk, which only makes reading slower."""
        try:
            yield
        except OSError as error:
            if not self._warned:
                log.warning("the cache %s cannot be used (%s): reading from the store", self.folder, error)
            self._warned = True


@dataclass(frozen=True)
class CachedStore(Store):
    """A store whose reads of objects with an identity go through a node's cache."""

    cache: Cache | None = None

    @classmethod
    def of(cls, store: Store, cache: Cache) -> "CachedStore":
        return cls(store.url, store.retries, cache)

    def read_ranges(
        self, name: str, ranges: Ranges, size: int | None = None, identity: str | None = None
    ) -> list[bytes]:
        start, stop = ranges[0][0], ranges[-1][1]
        if self.cache is None or size is None or identity is None or not 0 <= start < stop <= size:
            return super().read_ranges(name, ranges, size, identity)

        def fetch(begin: int, end: int) -> bytes:
            return super(CachedStore, self).read_ranges(name, [(begin, end)], size, identity)[0]

        # Images have their own crc32, which is checked after the cache.
        data = self.cache.read(identity, size, start, stop, fetch, verify=not name.endswith(".tar"))
        return cut(data, ranges)

    def read_afresh(self, name: str, start: int, stop: int, size: int, identity: str) -> bytes | None:
        if self.cache is not None:
            self.cache.forget(identity, size, start, stop)
        return self.read_range(name, start, stop, size, identity)


def _blocks(size: int) -> int:
    return -(-size // DISK_BLOCK)


def _crc_offset(size: int, block: int) -> int:
    return _blocks(size) * DISK_BLOCK + block * CRC.itemsize


def _crcs(file: int, size: int, first: int, last: int) -> npt.NDArray[np.uint32]:
    data = os.pread(file, (last - first) * CRC.itemsize, _crc_offset(size, first))
    return np.frombuffer(data, CRC)


def _crcs_of(data: bytes | bytearray) -> npt.NDArray[np.uint32]:
    """Returns one crc32 for each block; 1 replaces 0, which means that a block is absent."""
    view = memoryview(data)
    return np.array([crc32(view[offset : offset + DISK_BLOCK]) or 1 for offset in range(0, len(data), DISK_BLOCK)], CRC)


def _stretches(blocks: npt.NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Joins ascending block numbers to ranges [low, high) across small gaps."""
    for run in np.split(blocks, np.flatnonzero(np.diff(blocks) > GAP_BLOCKS) + 1):
        if len(run):
            yield int(run[0]), int(run[-1]) + 1
