"""`search.parquet` of a view: in which shards each label is, so that the rarest one is found without reading the others.

Written after the view, beside its files, and named by nothing: a reader takes it only if it says that it was made for
this `view.json`. It leads to shards; whether a sample has a label is always read from the view itself.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.browse.search.snapshot import Snapshot
from tagmill.shards.errors import IntegrityError
from tagmill.shards.many_requests import in_order, requests_at_once
from tagmill.shards.view import View

SEARCH_FILE = "search.parquet"
SHARDS_LISTED = 1024  # shards that are listed of a label; one that is in more is found quickly without an index
BLOCK_ROWS = 1 << 16  # samples whose labels are read at a time
GROUP_ROWS = 1 << 14  # rows of a row group: what is read for one label at least
MADE_FOR = b"tagmill.view"  # key of the file's metadata: sha256 of view.json, in hex

# Sorted by label, then by shard.
SEARCH = pa.schema(
    [
        pa.field("label", pa.int32(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),  # its number in the corpus order
        pa.field("samples", pa.int32(), nullable=False),  # with the label, in this shard
        pa.field("in_shards", pa.int32(), nullable=False),  # that have the label, listed or not
        pa.field("in_samples", pa.int64(), nullable=False),  # that have the label, in all shards
    ]
)


@dataclass(frozen=True)
class Listed:
    """What the index says of some labels of a view."""

    shards: tuple[int, ...]  # that have at least one of the labels, ascending; complete below `until`
    until: int  # number of the first shard of which the index says nothing
    complete: bool  # whether it names every shard that has a label
    in_shards: dict[int, int]  # by label: the number of shards that have it
    in_samples: dict[int, int]  # by label: the number of samples that have it, taken down or not


def lookup(snapshot: Snapshot, name: str, labels: Iterable[int]) -> Listed | None:
    """Reads what the index of a view says of labels; None if there is none. Raises IntegrityError for a file that is
    not the view's."""
    view, wanted = snapshot.view(name), np.unique(np.fromiter(labels, np.int32))
    where = f"{view.store.url}/{SEARCH_FILE}"
    try:
        with view.store.open(SEARCH_FILE) as file:
            table = _rows_of(file, view, wanted, where)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, IndexError) as error:  # Arrow's errors are among these
        raise IntegrityError(f"not a search index: {error}", where, _REMEDY) from error
    return _listed(table, wanted, snapshot.num_shards, where)


def is_indexed(snapshot: Snapshot, name: str) -> bool:
    """Whether a view has an index that was made for it."""
    view = snapshot.view(name)
    try:
        with view.store.open(SEARCH_FILE) as file:
            return _made_for(pq.ParquetFile(file, pre_buffer=False)) == view.digest.hex()
    except (OSError, ValueError):  # Arrow's errors are among these
        return False


def _made_for(reader: pq.ParquetFile) -> str:
    """Returns the digest of the view for which a file was made; empty for a file that says nothing."""
    found: bytes = (reader.schema_arrow.metadata or {}).get(MADE_FOR, b"")
    return found.decode("ascii", "replace")


_REMEDY = "make it again: tagmill corpus browse CORPUS --index"


def _rows_of(file: object, view: View, wanted: npt.NDArray[np.int32], where: str) -> pa.Table:
    reader = pq.ParquetFile(file, pre_buffer=False)
    if _made_for(reader) != view.digest.hex():
        raise IntegrityError("a search index of another view", where, _REMEDY)
    groups = []
    for number in range(reader.num_row_groups):
        limits = reader.metadata.row_group(number).column(0).statistics
        if limits is None or not limits.has_min_max:
            groups.append(number)
            continue
        first = int(np.searchsorted(wanted, limits.min))
        if first < len(wanted) and wanted[first] <= limits.max:
            groups.append(number)
    parts = []
    for number in groups:
        part = reader.read_row_group(number, columns=SEARCH.names, use_threads=False).cast(SEARCH)
        parts.append(part.filter(pa.array(np.isin(part["label"].to_numpy(), wanted))))
    return pa.concat_tables(parts) if parts else SEARCH.empty_table()


def _listed(table: pa.Table, wanted: npt.NDArray[np.int32], num_shards: int, where: str) -> Listed:
    label, shard = table["label"].to_numpy(), table["shard"].to_numpy()
    if len(shard) and not 0 <= shard.min() <= shard.max() < num_shards:
        raise IntegrityError("a search index that names shards which are not there", where, _REMEDY)
    in_shards, in_samples, until = dict.fromkeys(wanted.tolist(), 0), dict.fromkeys(wanted.tolist(), 0), num_shards
    labels, first, count = np.unique(label, return_index=True, return_counts=True)
    for number, row, rows in zip(labels.tolist(), first.tolist(), count.tolist()):
        in_shards[number] = int(table["in_shards"][row].as_py())
        in_samples[number] = int(table["in_samples"][row].as_py())
        if rows < in_shards[number]:
            until = min(until, int(shard[row + rows - 1]) + 1)
    shards = np.unique(shard[shard < until]).tolist()
    return Listed(tuple(shards), until, until == num_shards, in_shards, in_samples)


def write_index(snapshot: Snapshot, name: str, done: Callable[[int], None] = lambda shards: None) -> int:
    """Reads the labels of every shard of a view, writes its index and returns the number of rows; calls `done` with 1
    after each shard. Raises CorpusError if a shard's labels cannot be read: the index must be complete."""
    view = snapshot.view(name)
    size = len(view.vocabulary)
    in_shards, in_samples = np.zeros(size, np.int32), np.zeros(size, np.int64)
    parts: list[npt.NDArray[np.int32]] = [np.empty((0, 3), np.int32)]
    at_once = min(8, requests_at_once(view.store))

    def counts(shard: int) -> npt.NDArray[np.int64]:
        return _counts(view, shard, snapshot.corpus.entry(shard).samples, size)

    for shard, found in enumerate(in_order(counts, range(snapshot.num_shards), at_once)):
        labels = np.flatnonzero(found)
        listed = labels[in_shards[labels] < SHARDS_LISTED]
        parts.append(np.stack([listed, np.full(len(listed), shard), found[listed]], 1).astype(np.int32))
        in_shards[labels] += 1
        in_samples += found
        done(1)
    rows = np.concatenate(parts)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    _put(view, rows, in_shards, in_samples)
    return len(rows)


def _counts(view: View, shard: int, samples: int, size: int) -> npt.NDArray[np.int64]:
    """Returns how many samples of a shard have each label: int64 [labels]."""
    found = np.zeros(size, np.int64)
    for start in range(0, samples, BLOCK_ROWS):
        rows = np.sort(view.labels(shard, start, min(start + BLOCK_ROWS, samples)), axis=1)
        fresh = rows >= 0
        fresh[:, 1:] &= rows[:, 1:] != rows[:, :-1]  # a label counts once a sample
        if rows.size and rows.max() >= size:
            where = f"{view.store.url}/{view.shard(shard).name}.labels.npy"
            raise IntegrityError(f"label {rows.max()} of {size}", where, "the file was altered: restore it")
        found += np.bincount(rows[fresh], minlength=size)
    return found


def _put(
    view: View, rows: npt.NDArray[np.int32], in_shards: npt.NDArray[np.int32], in_samples: npt.NDArray[np.int64]
) -> None:
    schema = SEARCH.with_metadata({MADE_FOR: view.digest.hex()})
    with tempfile.TemporaryDirectory(prefix="tagmill-") as spool:
        path = Path(spool) / SEARCH_FILE
        with pq.ParquetWriter(str(path), schema, compression="zstd") as writer:
            for part in _parts(rows):
                columns = [*part.T, in_shards[part[:, 0]], in_samples[part[:, 0]]]
                writer.write_table(pa.Table.from_arrays([pa.array(column) for column in columns], schema=schema))
        view.store.put(SEARCH_FILE, path)


def _parts(rows: npt.NDArray[np.int32]) -> Iterator[npt.NDArray[np.int32]]:
    for start in range(0, max(1, len(rows)), GROUP_ROWS):
        yield rows[start : start + GROUP_ROWS]
