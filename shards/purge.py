"""Commits a takedown list to a corpus, and removes the listed samples from the shards permanently.

A purged shard keeps its length, members, offsets and keys: an image and its facts are replaced by the bytes of
`placeholder_jpeg`, a row of the table keeps only its key. Manifest, indexes, views and saved states stay valid.
"""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards.arrays import Ordinals
from tagmill.shards.errors import CorpusError, IntegrityError
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.formats.placeholder_jpeg import no_facts, placeholder_jpeg
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.formats.shard_index import TAR_BLOCK, key_hex, padded
from tagmill.shards.manifest import Corpus, CorpusFile, Named, ShardEntry, amend, read_named
from tagmill.shards.reader import ShardReader
from tagmill.shards.storage.store import Store
from tagmill.shards.takedown import PURGE, PURGED, PurgedShard, Row, Takedown

# The future digests of a shard, written before the shard: after a kill they distinguish a purged shard from an altered
# one.
NOTES = "parts/purge"
PURGE_BYTES = 1 << 22


def record(corpus: Corpus, rows: Sequence[Row]) -> Corpus:
    """Adds rows to the current list of the corpus by one atomic put; returns that corpus.

    Raises CorpusError if the shards differ from those of `corpus`.
    """

    def listed(now: Corpus) -> CorpusFile:
        if now.file.manifest != corpus.file.manifest:
            raise CorpusError(
                "the shards of the corpus changed in the meantime", corpus.store.url, "run the command again"
            )
        return replace(now.file, takedown=put_list(now.store, now.takedown.with_rows(rows)))

    return amend(corpus, listed)


def put_list(store: Store, taken: Takedown, note: Callable[[str], None] = lambda path: None) -> Named:
    """Writes a takedown list under the name of its content; calls `note` with it first."""
    data = taken.data()
    digest = sha256_hex(data)
    named = Named(f"manifests/takedown-{digest[:12]}.parquet", digest)
    note(named.path)
    if not store.put_new(named.path, data):
        read_named(store, named)  # an object of that name must have the same bytes
    return named


def begin_purge(corpus: Corpus, at: str) -> Corpus:
    """Announces the shards that hold listed samples which are not purged; returns the corpus with that list."""
    taken = corpus.takedown
    todo = [shard for shard in taken.shards if len(taken.purged(shard)) < len(taken.ordinals(shard))]
    rows = [Row(kind=PURGE, shard=shard, at=at) for shard in sorted({*todo, *taken.unfinished})]
    return record(corpus, rows) if rows else corpus


def purge_shard(corpus: Corpus, entry: ShardEntry, spool: Path) -> PurgedShard:
    """Replaces tar and table of one shard. If it is killed at any point, the same call completes it.

    Raises IntegrityError if the shard is neither as the corpus describes it nor as a purge leaves it: otherwise its new
    digests would hide the damage.
    """
    purged_rows = corpus.takedown.purging(entry.name)
    note, before = f"{NOTES}/{entry.name}.json", PurgedShard(entry.tar_sha256, entry.table_sha256)
    known = [before]
    if corpus.store.exists(note):
        known.append(PurgedShard(**json.loads(corpus.store.read(note))))
    tar, table = spool / f"{entry.name}.tar", spool / f"{entry.name}.parquet"
    try:
        found = PurgedShard(_copied(corpus, tar), _copied(corpus, table))
        for kind in ("tar_sha256", "table_sha256"):
            if getattr(found, kind) not in {getattr(each, kind) for each in known}:
                where = f"{corpus.store.url}/shards/{entry.name}"
                what = f"altered: its {kind} differs from the one in the corpus"
                raise IntegrityError(what, where, "restore the shard, then purge it")
        records = ShardReader.of(corpus, entry).index(0, entry.samples)[purged_rows]
        with tar.open("r+b") as file:
            _blank(file, records, str(tar.name))
        table.write_bytes(_keys_only(table.read_bytes(), purged_rows))
        after = PurgedShard(_digest(tar), _digest(table))
        corpus.store.put(note, json.dumps(asdict(after)).encode())
        corpus.store.put(f"shards/{tar.name}", tar)
        corpus.store.put(f"shards/{table.name}", table)
    finally:
        tar.unlink(missing_ok=True)
        table.unlink(missing_ok=True)
    return after


def purge_shards(corpus: Corpus, spool: Path, entries: Iterable[ShardEntry], at: str) -> Corpus:
    """Purges the shards that `begin_purge` announced and `entries` contains, deletes the parts that ingest kept, and
    records the new digests."""
    rows = []
    for entry in entries:
        if entry.name in corpus.takedown.unfinished:
            after = purge_shard(corpus, entry, spool)
            rows.append(Row(kind=PURGED, shard=entry.name, at=at, **asdict(after)))
    kept = corpus.store.names("parts")  # they hold copies of the images
    corpus.store.delete_many([name for name in kept if not name.startswith(f"{NOTES}/")])
    found = record(corpus, rows) if rows else corpus
    corpus.store.delete_below("parts")
    return found


def _copied(corpus: Corpus, path: Path) -> str:
    """Copies a file of a shard to the local disk and returns its sha256."""
    try:
        with corpus.store.open(f"shards/{path.name}") as source, path.open("wb") as file:
            shutil.copyfileobj(source, file, PURGE_BYTES)
    except FileNotFoundError as error:
        where = f"{corpus.store.url}/shards/{path.name}"
        raise IntegrityError("missing from the corpus", where, "restore the shard") from error
    return _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _blank(file: BinaryIO, records: npt.NDArray[Any], where: str) -> None:
    """Overwrites the images and facts of these samples with placeholders; idempotent."""
    for record_ in records:
        offset, size = int(record_["offset"]), int(record_["size"])
        header = offset + padded(size)
        file.seek(header)
        member = tarfile.TarInfo.frombuf(file.read(TAR_BLOCK), "ascii", "strict")
        if member.name != f"{key_hex(record_)}.json":
            raise IntegrityError(f"{member.name} in place of the facts", where, "restore the shard, then purge it")
        file.seek(offset)
        file.write(placeholder_jpeg(size))
        file.seek(header + TAR_BLOCK)
        file.write(no_facts(member.size))


def _keys_only(data: bytes, purged_rows: Ordinals) -> bytes:
    """Returns a shard's table in which rows `purged_rows` have their key, and nulls in all other columns."""
    table = read_table(data)
    empty = pa.table({field.name: pa.array([_nothing(field)], field.type) for field in table.schema}, table.schema)
    rows = np.arange(len(table))
    rows[purged_rows] = len(table)
    emptied = pa.concat_tables([table, empty]).take(pa.array(rows))
    keys = table.schema.get_field_index("key")
    emptied = emptied.set_column(keys, table.schema.field(keys), table["key"])
    sink = pa.BufferOutputStream()
    pq.write_table(emptied.combine_chunks(), sink, compression="zstd", store_schema=False)
    return bytes(sink.getvalue())


def _nothing(field: pa.Field) -> object:
    if field.nullable:
        return None
    if pa.types.is_list(field.type):
        return []
    return "" if pa.types.is_string(field.type) else 0
