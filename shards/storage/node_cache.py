"""A node's copies of what it read from a store: shared by the processes of the machine, bounded, the oldest deleted first.

An object is one sparse file, named by what the whole object holds (`identity_of`), so it is never stale. It holds the
object's blocks at their places, behind them a crc32 for each block (0: not there yet) and the object's length. A block's
crc32 is written after the block. Both pass through the page cache, where every process sees them in this order, and a power
loss, which might keep the one and not the other, begins another folder: it is named by the boot. So a killed process leaves
nothing that misleads, and deleting under a reader's open file is harmless.
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
from tagmill.shards.storage.counters import TRAFFIC
from tagmill.shards.storage.marked_folder import claim, discard
from tagmill.shards.storage.ranged_reads import Places, cut
from tagmill.shards.storage.store import Store

log = logging.getLogger(__name__)

DISK_BLOCK = 4096  # bytes, what file systems allocate
GAP_BLOCKS = 32  # present ones between two stretches that are fetched again rather than asking twice
CRC = np.dtype("<u4")
LOOKED_FOR = 128  # a process looks at the folder's size each time it has added this part of the limit
FULL, EMPTIED = (
    15 / 16,
    7 / 8,
)  # of the limit: when files are deleted, and down to what. The rest is for what other ranks add
LARGEST = 1 / 8  # of the limit, that one read may add
LONGEST = 1 << 60  # bytes of an object; a longer one is a mistake of somebody's tables
STALE_SECONDS = 600.0  # after which a file that was not given its name is a killed process's
BOOT = Path("/proc/sys/kernel/random/boot_id")
CACHE_FOLDER = "tagmill-cache"  # our folder inside the one that was given, where others may keep theirs
OBJECT = re.compile(r"[0-9a-f]{64}")  # names of files that hold objects

Fetch = Callable[[int, int], bytes]


def identity_of(digest: bytes, name: str) -> str:
    """What names the content of an object: the digest of the manifest or the view that says what it holds, and its name
    there. (An extended corpus is read anew: the digests of single objects are not among what planning maps.)"""
    return hashlib.sha256(digest + name.encode()).hexdigest()


class Cache:
    """Copies of objects in a folder of this machine, at most `limit` bytes of disk for up to eight processes that add.

    They are in OWN inside `folder`, a folder for each boot. What a cache deletes carries its marker or is an object's file
    of its own; `folder` may hold anything else.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.limit, self._boot = limit, BOOT.read_text().strip() if BOOT.exists() else "boot"
        self.folder = folder / CACHE_FOLDER / self._boot
        self._lock, self._added, self._warned = threading.Lock(), limit, False
        for other in self.folder.parent.glob("*"):
            if other != self.folder:
                discard(other)

    def read(self, identity: str, size: int, start: int, stop: int, fetch: Fetch, *, verify: bool) -> bytes:
        """Bytes [start, stop) of the object `identity` of `size` bytes; `fetch(start, stop)` brings what is not here.

        `verify` holds every block against its crc32, for objects whose readers have none of their own. Where the folder
        cannot be used, everything is fetched, and the log says so once.
        """
        first, last = start // DISK_BLOCK, -(-stop // DISK_BLOCK)
        with self._file(identity, size) as file:
            if file is None:
                return self._fetched(fetch, start, stop)
            there = self._present(file, size, first, last, verify)
            if there is None:
                return self._fetched(fetch, start, stop)
            data, absent = there
            base = first * DISK_BLOCK
            for low, high in _stretches(np.flatnonzero(absent)):
                begin, end = base + low * DISK_BLOCK, min(size, base + high * DISK_BLOCK)
                part = self._fetched(fetch, begin, end)
                data[begin - base : end - base] = part
                self._keep(file, size, begin, part)
            TRAFFIC.add(cache_bytes=min(int(np.count_nonzero(~absent)) * DISK_BLOCK, stop - start))
            return bytes(memoryview(data)[start - base : stop - base])

    def _present(
        self, file: int, size: int, first: int, last: int, verify: bool
    ) -> tuple[bytearray, npt.NDArray[np.bool_]] | None:
        """The blocks [first, last) as they are here, and which of them are not; None where the disk does not give them."""
        found = None
        with self._excused():
            crcs = _crcs(file, size, first, last)  # before the blocks: what is there now is there then
            data = bytearray(os.pread(file, min(size, last * DISK_BLOCK) - first * DISK_BLOCK, first * DISK_BLOCK))
            found = data, crcs != _crcs_of(data) if verify else crcs == 0
        return found

    def forget(self, identity: str, size: int, start: int, stop: int) -> None:
        """Bytes [start, stop) of an object are to be fetched anew."""
        first, last = start // DISK_BLOCK, -(-stop // DISK_BLOCK)
        with self._file(identity, size) as file, self._excused():
            if file is not None:
                os.pwrite(file, bytes(CRC.itemsize * (last - first)), _crc_place(size, first))

    def _fetched(self, fetch: Fetch, start: int, stop: int) -> bytes:
        TRAFFIC.add(cache_missed_bytes=stop - start)
        return fetch(start, stop)

    def _keep(self, file: int, size: int, start: int, data: bytes) -> None:
        """Writes whole blocks, then what says that they are there."""
        with self._excused():
            # A disk that is nearly full takes a part of it, without an error.
            if self._has_room(len(data)) and os.pwrite(file, data, start) == len(data):
                os.pwrite(file, _crcs_of(data).tobytes(), _crc_place(size, start // DISK_BLOCK))

    @contextmanager
    def _file(self, identity: str, size: int) -> Iterator[int | None]:
        """The object's file, open; None where it cannot be had."""
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
        if os.fstat(descriptor).st_size != _crc_place(size, _blocks(size)):
            os.close(descriptor)
            return None
        os.utime(descriptor)
        return descriptor

    def _make(self, path: Path, size: int) -> None:
        """An empty file that gets its name when it has its length; whoever comes first makes it."""
        claim(self.folder, mode=0o700)
        new = path.with_name(f".{secrets.token_hex(8)}.new")
        try:
            with new.open("xb") as file:
                file.truncate(_crc_place(size, _blocks(size)))
            with suppress(FileExistsError):
                os.link(new, path)
        finally:
            new.unlink(missing_ok=True)

    def _has_room(self, added: int) -> bool:
        """Whether so many bytes more may be written; deletes what was not read for longest where the folder is full."""
        if added > self.limit * LARGEST:
            return False
        with self._lock:
            self._added += added
            if self._added < self.limit // LOOKED_FOR:
                return True
            with (self.folder / ".lock").open("wb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:  # another process makes room just now; this read is not kept
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
        """A disk that is full or gone makes reading slower, and is no error."""
        try:
            yield
        except OSError as error:
            if not self._warned:
                log.warning("the cache %s cannot be used (%s): reading goes to the store", self.folder, error)
            self._warned = True


@dataclass(frozen=True)
class CachedStore(Store):
    """A store whose reads of named content go through a node's cache."""

    cache: Cache | None = None

    @classmethod
    def of(cls, store: Store, cache: Cache) -> "CachedStore":
        return cls(store.url, store.retries, cache)

    def read_pieces(
        self, name: str, places: Places, size: int | None = None, identity: str | None = None
    ) -> list[bytes]:
        start, stop = places[0][0], places[-1][1]
        if self.cache is None or size is None or identity is None or not 0 <= start < stop <= size:
            return super().read_pieces(name, places, size, identity)

        def fetch(begin: int, end: int) -> bytes:
            return super(CachedStore, self).read_pieces(name, [(begin, end)], size, identity)[0]

        # Pictures have a crc32 of their own, which is checked behind the cache.
        data = self.cache.read(identity, size, start, stop, fetch, verify=not name.endswith(".tar"))
        return cut(data, places)

    def read_afresh(self, name: str, start: int, stop: int, size: int, identity: str) -> bytes | None:
        if self.cache is not None:
            self.cache.forget(identity, size, start, stop)
        return self.read_range(name, start, stop, size, identity)


def _blocks(size: int) -> int:
    return -(-size // DISK_BLOCK)


def _crc_place(size: int, block: int) -> int:
    return _blocks(size) * DISK_BLOCK + block * CRC.itemsize


def _crcs(file: int, size: int, first: int, last: int) -> npt.NDArray[np.uint32]:
    data = os.pread(file, (last - first) * CRC.itemsize, _crc_place(size, first))
    return np.frombuffer(data, CRC)


def _crcs_of(data: bytes | bytearray) -> npt.NDArray[np.uint32]:
    """One crc32 a block; 1 stands for 0, which means that a block is not there."""
    view = memoryview(data)
    return np.array([crc32(view[place : place + DISK_BLOCK]) or 1 for place in range(0, len(data), DISK_BLOCK)], CRC)


def _stretches(blocks: npt.NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Runs [low, high) of ascending block numbers; those that lie close together are one."""
    for run in np.split(blocks, np.flatnonzero(np.diff(blocks) > GAP_BLOCKS) + 1):
        if len(run):
            yield int(run[0]), int(run[-1]) + 1
