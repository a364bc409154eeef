"""Writes one shard: tar, both indexes, table and stats, made together, hashed while written, spooled and put."""

import hashlib
import tarfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards.checksum import crc32
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.formats.npy import npy_bytes
from tagmill.shards.formats.record import Record, facts_schema, sha256_hex
from tagmill.shards.formats.shard_index import INDEX, TAR_BLOCK, dali_index, key_bytes, padded
from tagmill.shards.manifest import ShardEntry
from tagmill.shards.storage.store import SMALL_PUT, Store

SIDES = (".tar", ".idx", ".npy", ".parquet", "_stats.json")  # the order of the puts: facts never precede their bytes
WRITER_BYTES = 1 << 20  # bytes of a file in memory


def _template() -> bytes:
    """Returns a member's header without name and length; the checksum field is blank, as the format requires for the
    sum."""
    member = tarfile.TarInfo()
    member.mode, member.uname, member.gname = 0o444, "bigdata", "bigdata"
    header = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    header[_SUM] = b" " * 8
    return bytes(header)


# Fields of a ustar header (POSIX pax, "ustar Interchange Format"); numbers are octal digits, ended by a zero.
_NAME, _LENGTH, _SUM = slice(0, 100), slice(124, 136), slice(148, 156)
_TEMPLATE = _template()


def _header(name: str, length: int) -> bytes:
    """Returns the header that `tarfile` would write, in a quarter of the time."""
    header = bytearray(_TEMPLATE)
    header[_NAME] = name.encode("ascii").ljust(100, b"\0")
    header[_LENGTH] = b"%011o\0" % length
    header[_SUM] = b"%06o\0 " % sum(header)
    assert len(header) == TAR_BLOCK, "a name or a length that is too long"
    return bytes(header)


class PlainTar:
    """Writes a tar byte for byte as webdataset's TarWriter does, and computes its sha256 and length.

    Not webdataset's own, because that imports torch: seconds and hundreds of megabytes in every process that packs.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")
        self._digest = hashlib.sha256()
        self.length = 0

    def add(self, name: str, data: bytes) -> int:
        """Appends a member and returns the offset of its data."""
        self._write(b"".join((_header(name, len(data)), data, bytes(padded(len(data)) - len(data)))))
        return self.length - padded(len(data))

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self.length += len(data)
        self._file.write(data)

    def finish(self) -> str:
        """Writes two empty blocks, then zeros up to a whole record; returns the sha256."""
        self._write(bytes(-(-(self.length + 2 * TAR_BLOCK) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE - self.length))
        self._file.close()
        return self._digest.hexdigest()

    def discard(self) -> None:
        with suppress(OSError):  # the removal must succeed on a full disk
            self._file.close()


@dataclass
class ShardWriter:
    """Spools the shard `name` (for example '000000') into the local folder `spool`; `finish` completes it.

    The bytes depend only on the samples and their order: ustar, fixed times, owners and modes, and tables without
    anything that differs from run to run. `extra` names the source's own columns.
    """

    name: str
    split: str  # 'train' or 'holdout'
    spool: Path
    extra: pa.Schema = field(default_factory=lambda: pa.schema([]))

    def __post_init__(self) -> None:
        self.spool.mkdir(parents=True, exist_ok=True)
        self._schema = facts_schema(self.extra)
        self._rows: list[dict[str, object]] = []
        self._index: list[tuple[Any, ...]] = []
        self._members: list[tuple[tuple[str, int, int, str], ...]] = []
        self._tar = PlainTar(self._side(".tar"))

    def _side(self, suffix: str) -> Path:
        return self.spool / f"{self.name}{suffix}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()

    @property
    def num_samples(self) -> int:
        return len(self._rows)

    def add(self, record: Record, jpeg: bytes) -> None:
        """Appends one sample: `<key>.jpg`, then `<key>.json`. `jpeg` is a complete baseline JPEG as ingest makes it."""
        if unknown := record.extra.keys() - set(self.extra.names):
            raise ConfigError(f"columns {sorted(unknown)} are not in `extra`", self.name, "name them in `extra`")
        facts, checksum = record.json(), crc32(jpeg)
        offset = self._tar.add(f"{record.key}.jpg", jpeg)
        facts_offset = self._tar.add(f"{record.key}.json", facts)
        self._rows.append({**record.row(), "crc32": checksum, "offset": offset, "size": len(jpeg)})
        self._index.append((offset, len(jpeg), record.width, record.height, checksum, key_bytes(record.key)))
        self._members.append(
            (
                ("jpg", offset, len(jpeg), f"{record.key}.jpg"),
                ("json", facts_offset, len(facts), f"{record.key}.json"),
            )
        )

    def finish(self) -> ShardEntry:
        """Closes the tar and writes its side files beside it; returns the shard's line of the manifest."""
        tar_sha256 = self._tar.finish()
        index = npy_bytes(np.array(self._index, INDEX))
        self._side(".npy").write_bytes(index)
        self._side(".idx").write_bytes(dali_index(self._members, self.num_samples))
        table = pa.Table.from_pylist(self._rows, self._schema)
        pq.write_table(table, self._side(".parquet"), compression="zstd", store_schema=False)
        entry = ShardEntry(
            name=self.name,
            split=self.split,
            samples=self.num_samples,
            bytes=self._tar.length,
            tar_sha256=tar_sha256,
            index_sha256=sha256_hex(index),
            table_sha256=sha256_hex(self._side(".parquet").read_bytes()),
        )
        self._side("_stats.json").write_bytes(entry.stats())
        return entry

    def discard(self) -> None:
        """Removes the spooled files."""
        self._tar.discard()
        for suffix in SIDES:
            self._side(suffix).unlink(missing_ok=True)


def publish(store: Store, spool: Path, name: str, *, over: bool = True) -> None:
    """Puts a finished shard's files into the corpus and empties the spool. The shard is invisible until the manifest
    names it.

    A plain put, not a put-if-absent: a resumed run writes the same bytes again. Without `over` nothing is replaced:
    raises CorpusError if a file of that name has other bytes.
    """
    for suffix in SIDES:
        side = spool / f"{name}{suffix}"
        if over:
            store.put(f"shards/{name}{suffix}", side, give=True)
        else:
            _put_beside(store, f"shards/{name}{suffix}", side)
            side.unlink()


def _put_beside(store: Store, name: str, path: Path) -> None:
    """Puts a file without replacing another. One too long for a put-if-absent is checked first: only an abandoned run
    that is still alive could write in between."""
    if store.root is not None or path.stat().st_size <= SMALL_PUT:
        if store.put_new(name, path):
            return
    elif not store.exists(name):
        store.put(name, path)
        return
    with store.open(name) as stored, path.open("rb") as made:
        if _digest(stored) != _digest(made):
            where = f"{store.url.rstrip('/')}/{name}"
            raise CorpusError(
                "a file of a new shard exists already, with other bytes", where, "remove them if no corpus names them"
            )


def _digest(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while block := file.read(WRITER_BYTES):
        digest.update(block)
    return digest.digest()
