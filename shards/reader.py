"""Reads samples of a shard by number: small ranged reads, every image checked against its crc32."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tagmill.shards.arrays import Ordinals
from tagmill.shards.checksum import crc32
from tagmill.shards.errors import IntegrityError, TakenDownError
from tagmill.shards.formats.npy import check_size, read_rows
from tagmill.shards.formats.placeholder_jpeg import is_placeholder
from tagmill.shards.formats.shard_index import INDEX, TAR_BLOCK, key_hex, padded
from tagmill.shards.manifest import Corpus, Named, ShardEntry, ShardLine, read_named
from tagmill.shards.storage.node_cache import identity_of
from tagmill.shards.storage.ranged_reads import Ranges
from tagmill.shards.storage.store import Store
from tagmill.shards.takedown import NONE, TAKEN_DOWN

GAP_LIMIT = 1 << 17  # bytes that one read may fetch for nothing between two images, before a second read is cheaper


def whole_index(store: Store, entry: ShardEntry) -> npt.NDArray[Any]:
    """Reads all INDEX records of a shard of the corpus in `store`. Raises IntegrityError if they differ from those
    written."""
    data = read_named(store, Named(f"shards/{entry.name}.npy", entry.index_sha256))
    index = np.load(io.BytesIO(data), allow_pickle=False)
    if index.dtype != INDEX or index.shape != (entry.samples,):
        raise IntegrityError("the index is not this shard's", f"{store.url}/shards/{entry.name}.npy", "restore it")
    return np.asarray(index)


@dataclass(frozen=True)
class Unreadable:
    """An image whose bytes differ from those that were written: a value that the caller counts, never used for
    training."""

    key: str
    reason: str  # 'altered' or 'taken_down'


@dataclass(frozen=True)
class ShardReader:
    """Random access to one shard of a corpus."""

    store: Store
    entry: ShardLine
    manifest_digest: bytes
    taken_down: Ordinals = field(default_factory=lambda: NONE, compare=False)  # ascending

    @classmethod
    def of(cls, corpus: Corpus, entry: ShardLine) -> "ShardReader":
        return cls(corpus.store.within("shards"), entry, corpus.digest, corpus.takedown.ordinals(entry.name))

    def is_taken_down(self, ordinals: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Returns which of these samples are on the corpus's takedown list: their images must not be read."""
        if not len(self.taken_down):
            return np.zeros(len(ordinals), np.bool_)
        indices = np.minimum(np.searchsorted(self.taken_down, ordinals), len(self.taken_down) - 1)
        found: npt.NDArray[np.bool_] = self.taken_down[indices] == ordinals
        return found

    @property
    def where(self) -> str:
        return f"{self.store.url}/{self.entry.name}.tar"

    def check(self) -> None:
        """Raises IntegrityError unless tar and index have the sizes of the manifest. Every read checks them too: other
        tar readers accept a tar that was cut between two members."""
        try:
            found = self.store.size(f"{self.entry.name}.tar")
        except FileNotFoundError as error:
            raise IntegrityError("missing from the corpus", self.where, "restore the shard") from error
        if found != self.entry.bytes:
            what = f"{found} bytes, the manifest says {self.entry.bytes}"
            raise IntegrityError(what, self.where, "the shard was cut or replaced: restore it")
        check_size(self.store, f"{self.entry.name}.npy", INDEX, (self.entry.samples,))

    def index(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Reads the INDEX records of samples [start, stop), in one ranged read."""
        name = f"{self.entry.name}.npy"
        return read_rows(self.store, name, INDEX, (self.entry.samples,), start, stop, self._identity(name))

    def pictures(self, records: npt.NDArray[Any], gap_limit: int = GAP_LIMIT) -> list[bytes | Unreadable]:
        """Reads the JPEG bytes of INDEX records in ascending order of offset; neighbours closer than `gap_limit` bytes
        share a read.

        Bytes from a cache or the network that differ from those written are read once more before they become
        Unreadable. If the corpus was opened before a sample was purged, a placeholder is found: it is 'taken_down' and
        not 'altered'.

        A record that points outside the tar, because the index was altered, gives an Unreadable, as altered bytes do.
        """
        offsets, sizes, sums = (records[name].tolist() for name in ("offset", "size", "crc32"))
        found: list[bytes | Unreadable] = []
        for start, stop in self._groups(offsets, sizes, gap_limit):
            if offsets[stop - 1] + sizes[stop - 1] > self.entry.bytes:  # a group of its own
                found.append(Unreadable(key_hex(records[start]), "altered"))
                continue
            pictures = self._read_ranges(
                [(offsets[number], offsets[number] + sizes[number]) for number in range(start, stop)]
            )
            for number, picture in enumerate(pictures, start):
                found.append(picture if crc32(picture) == sums[number] else self._again(records[number], picture))
        return found

    def _groups(self, offsets: list[int], sizes: list[int], gap_limit: int) -> Iterator[tuple[int, int]]:
        """Yields groups of neighbours that share a read, as (start, stop); a record that points outside the tar is a
        group of its own."""
        start = 0
        for number in range(1, len(offsets)):
            gap = offsets[number] - offsets[number - 1] - sizes[number - 1]
            if not 0 <= gap <= gap_limit or offsets[number] + sizes[number] > self.entry.bytes:
                yield start, number
                start = number
        if offsets:
            yield start, len(offsets)

    def sample(self, ordinal: int) -> tuple[dict[str, Any], bytes]:
        """Reads facts and image of one sample. Raises TakenDownError if it is taken down, IntegrityError if the image's
        bytes differ from those written, or the facts are not a row of this key (only lint detects other changes of the
        facts)."""
        record = self.record(ordinal)
        picture = self.picture(record)
        return self.facts(record), picture

    def record(self, ordinal: int) -> npt.NDArray[Any]:
        """Reads the INDEX record of one sample. Raises TakenDownError if it is taken down."""
        record: npt.NDArray[Any] = self.index(ordinal, ordinal + 1)[0]
        if self.is_taken_down(np.array([ordinal]))[0]:
            raise self._taken_down(record)
        return record

    def picture(self, record: npt.NDArray[Any]) -> bytes:
        """Reads the image of an INDEX record. Raises TakenDownError if it was purged, IntegrityError if its bytes differ
        from those written."""
        (picture,) = self.pictures(record[np.newaxis])
        if not isinstance(picture, Unreadable):
            return picture
        if picture.reason == TAKEN_DOWN:
            raise self._taken_down(record)
        raise IntegrityError("altered picture", f"{self.where} {key_hex(record)}", "restore the shard")

    def _taken_down(self, record: npt.NDArray[Any]) -> TakenDownError:
        return TakenDownError("taken down", f"{self.where} {key_hex(record)}", "leave it out")

    def facts(self, record: npt.NDArray[Any]) -> dict[str, Any]:
        """Reads the facts beside the image of an INDEX record. Raises IntegrityError if they are not those of its key."""
        key, after = key_hex(record), int(record["offset"]) + padded(int(record["size"]))
        try:
            header = tarfile.TarInfo.frombuf(self._read_ranges([(after, after + TAR_BLOCK)])[0], "ascii", "strict")
            facts = json.loads(self._read_ranges([(after + TAR_BLOCK, after + TAR_BLOCK + header.size)])[0])
            if header.name != f"{key}.json" or not isinstance(facts, dict) or facts.get("key") != key:
                raise ValueError(f"the member of another sample, {header.name}")
        except (tarfile.HeaderError, ValueError) as error:
            raise IntegrityError(f"altered facts: {error}", f"{self.where} {key}", "restore it") from error
        return facts

    def _read_ranges(self, ranges: Ranges) -> list[bytes]:
        name = f"{self.entry.name}.tar"
        try:
            return self.store.read_ranges(name, ranges, self.entry.bytes, self._identity(name))
        except FileNotFoundError as error:
            raise IntegrityError("missing from the corpus", self.where, "restore the shard") from error

    def _identity(self, name: str) -> str:
        return identity_of(self.manifest_digest, name)

    def _again(self, record: npt.NDArray[Any], data: bytes) -> bytes | Unreadable:
        """Reads bytes again that differ from those that were written; returns an Unreadable if they still do."""
        start, name = int(record["offset"]), f"{self.entry.name}.tar"
        number = start, start + len(data), self.entry.bytes, self._identity(name)
        again = None if is_placeholder(data) else self.store.read_afresh(name, *number)
        if again is not None and crc32(again) == record["crc32"]:
            return again
        return Unreadable(
            key_hex(record), TAKEN_DOWN if is_placeholder(data if again is None else again) else "altered"
        )
