"""The samples of a shard as an export takes them: facts, images and labels in blocks of bounded size, without those that
are taken down."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards.arrays import Floats, Int32s
from tagmill.shards.errors import CorpusError, IntegrityError
from tagmill.shards.formats.npy import read_rows
from tagmill.shards.manifest import Corpus, Named, ShardEntry, read_named
from tagmill.shards.reader import ShardReader, Unreadable, whole_index
from tagmill.shards.takedown import TAKEN_DOWN
from tagmill.shards.view import EXTRA, ONE, STRIDE, View

BLOCK_ROWS = 1000
BLOCK_BYTES = 32 << 20  # of images in memory, unless one image is larger


@dataclass(frozen=True)
class Part:
    """The first `samples` samples of a shard, which become one part of an export."""

    shard: int  # number of the shard in the corpus order
    entry: ShardEntry
    place: int  # number of the part among those of its split
    samples: int


@dataclass(frozen=True)
class Block:
    """Consecutive samples of a part: a row of `facts`, an image, label ids and a repeat each."""

    facts: pa.Table  # the columns of the shard's table
    images: list[bytes]
    labels: list[list[int]]
    repeats: Floats  # mean copies in an epoch of the view; 0 where the view leaves a sample out


def blocks(corpus: Corpus, view: View, part: Part) -> Iterator[Block]:
    """Yields the samples of a part in their order, at most BLOCK_ROWS and about BLOCK_BYTES of images at a time.

    Raises IntegrityError for a table, index, label or image whose bytes are not those written.
    """
    entry = part.entry
    if entry.name in corpus.takedown.unfinished:
        remedy = "run tagmill corpus takedown --purge again, then this command"
        raise CorpusError(
            "samples are being removed from this shard", f"{corpus.store.url}/shards/{entry.name}", remedy
        )
    reader = ShardReader.of(corpus, entry)
    reader.check()
    index = whole_index(corpus.store, entry)
    labels, repeats = checked_labels(view, part.shard), repeats_of(view, part.shard)
    ordinals = np.arange(part.samples)
    kept = ordinals[~reader.is_taken_down(ordinals)]
    first = 0
    for batch in _tables(corpus, entry):
        here = kept[(kept >= first) & (kept < first + len(batch))]
        for chosen in _bounded(here, index["size"]):
            facts = batch.take(pa.array(chosen - first))
            yield _block(reader, index[chosen], facts, labels[chosen], repeats[chosen])
        first += len(batch)


def _block(reader: ShardReader, records: npt.NDArray[Any], facts: pa.Table, labels: Int32s, repeats: Floats) -> Block:
    images = reader.pictures(records)
    there = [number for number, image in enumerate(images) if not _is_gone(image, reader.where)]
    return Block(
        facts.take(pa.array(there, pa.int64())),
        [image for image in images if isinstance(image, bytes)],
        [[each for each in labels[number].tolist() if each >= 0] for number in there],
        repeats[there],
    )


def _is_gone(image: bytes | Unreadable, where: str) -> bool:
    """Whether a sample was purged after the corpus was opened. Raises IntegrityError for an altered image."""
    if isinstance(image, bytes):
        return False
    if image.reason != TAKEN_DOWN:
        raise IntegrityError(
            "altered picture", f"{where} {image.key}", "restore the shard; tagmill corpus lint finds all"
        )
    return True


def _tables(corpus: Corpus, entry: ShardEntry) -> Iterator[pa.Table]:
    """Yields the rows of a shard's table, at most BLOCK_ROWS at a time. Raises IntegrityError if it was altered."""
    data = read_named(corpus.store, Named(f"shards/{entry.name}.parquet", entry.table_sha256))
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
    if file.metadata.num_rows != entry.samples:
        where = f"{corpus.store.url}/shards/{entry.name}.parquet"
        raise IntegrityError(f"{file.metadata.num_rows} rows for {entry.samples} samples", where, "restore it")
    for batch in file.iter_batches(BLOCK_ROWS, use_threads=False):
        yield pa.Table.from_batches([batch])


def _bounded(ordinals: npt.NDArray[np.int64], sizes: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.int64]]:
    """Yields consecutive pieces of `ordinals` whose images have at most BLOCK_BYTES together, or one image."""
    start, held = 0, 0
    for number, ordinal in enumerate(ordinals.tolist()):
        if number > start and held + int(sizes[ordinal]) > BLOCK_BYTES:
            yield ordinals[start:number]
            start, held = number, 0
        held += int(sizes[ordinal])
    if start < len(ordinals):
        yield ordinals[start:]


def checked_labels(view: View, shard: int) -> Int32s:
    """Returns the label ids of a shard, int32 [samples, K], -1 padded. Raises IntegrityError for an id that the
    vocabulary does not have."""
    found = view.labels(shard, 0, view.shard(shard).samples)
    if found.size and not (int(found.min()) >= -1 and int(found.max()) < len(view.vocabulary)):
        where = f"{view.store.url}/{view.shard(shard).name}.labels.npy"
        raise IntegrityError("a label that the vocabulary does not have", where, "make the view again")
    return found


def repeats_of(view: View, shard: int) -> Floats:
    """Returns how often each sample of a shard is in an epoch of the view, on average; 0 excludes a sample."""
    line = view.shard(shard)
    found = np.zeros(line.samples, np.float64)
    for copy, count in enumerate(line.counts):
        found[view.run(shard, copy, 0, count)] += 1
    if line.fractions:
        front = -(-line.fractions // STRIDE)
        total = front + line.fractions
        rows = read_rows(view.store, f"{line.name}.extras.npy", EXTRA, (total,), front, total)
        found[rows["ordinal"]] += np.diff(rows["running"].astype(np.int64), prepend=0) / ONE
    return found
