"""Partitions rows on a cluster: the same partitions as `partition.py` makes on one machine.

    inputs -> pieces (pieces.py) -> a task counts the rows of a piece, or reads a list for its digest
           -> a task reads a piece again; its rows are moved to the tasks of their partitions, which sort and put them

Lists are read twice because the number of partitions depends on the rows that `where` and presets leave. Neither lists
nor rows pass through the machine that starts the run: it holds the counts of every piece.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.engines.engine import GeneratedTable, Work
from tagmill.ingest.layout import rows_file
from tagmill.ingest.parts.hashed_rows import HASH, hashed, partition_bits, partition_schema, top_bits, words_of
from tagmill.ingest.parts.input_files import Noticed, digest_of_list
from tagmill.ingest.parts.stored_pictures import StoredPictures
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.inputs import ROW_BITS, Input, inputs
from tagmill.ingest.sources.pieces import Piece, is_parquet, row_group_pieces, whole_pieces
from tagmill.ingest.sources.rows import check_rows, rows, rows_of_piece
from tagmill.ingest.sources.samples import Listing
from tagmill.shards.progress.protocol import Progress
from tagmill.shards.storage.store import Store

T = TypeVar("T")
FIRST_ROWS = 1_000  # that are seen on the machine that starts the run
TOGETHER = 64  # partitions of a division, whose rows are moved to one task
FOOTERS = 32  # Parquet lists whose footers one task reads
DIVISION, PART = "division", "part"


@dataclass(frozen=True)
class Plan:
    """Partitions and divisions; part of each task, so that all of them go by the same."""

    bits: int  # there are 2^bits partitions
    together: int  # partitions of a division

    @property
    def divisions(self) -> int:
        return -(-(1 << self.bits) // self.together)

    def parts(self, division: int) -> set[int]:
        """Returns the partitions of a division."""
        return set(range(division * self.together, min((division + 1) * self.together, 1 << self.bits)))


class RowTasks(Protocol):
    """What a cluster does here."""

    def each(
        self, work: Callable[[T], Work], tasks: Sequence[T], report: Callable[[dict[str, int]], None], what: str
    ) -> list[bytes]:
        """Runs `work` on each task; returns results in order. `report` gets the counts beside them as tasks end."""

    def put_divided(
        self,
        table: GeneratedTable,
        order: Sequence[str],
        divisions: int,
        put: Callable[[int, Iterator[pa.RecordBatch], Path], Sequence[int]],
        what: str,
    ) -> list[int]:
        """Moves rows of equal DIVISION, of about `divisions`, to one task, in `order`. Returns what the calls of
        `put(number of the task, rows, scratch folder)` return, sorted."""


def partition_in_tasks(
    config: IngestConfig,
    store: Store,
    tasks: RowTasks,
    folder: Path,
    first_file: int,
    see: Callable[[pa.RecordBatch], None],
    progress: Progress,
) -> tuple[int, Noticed]:
    """Puts all partitions; returns their number, and what was noticed in the inputs.

    `folder` is a local scratch folder. `see` gets the first rows. `progress` counts rows that were read. Raises
    InputError as `sources.rows` does.
    """
    _see_first(config, see)
    pieces = _pieces(config, tasks)
    noticed = _noticed(config, tasks, pieces, progress)
    num_rows = sum(noticed.rows.values())
    check_rows(num_rows, noticed.warnings.values(), config)
    plan = Plan(partition_bits(num_rows, config.rows_per_part), TOGETHER)
    table = GeneratedTable(_moved_schema(config), pieces, partial(_moved, config, store, first_file, plan))
    put, order = partial(put_partitions, config, store, plan), [PART, HASH, "row_id"]
    found = tasks.put_divided(table, order, plan.divisions, put, "the partitions of the rows")
    for division in sorted(set(range(plan.divisions)).difference(found)):  # no row is in any of its partitions
        _put_empty(config, store, plan.parts(division), folder)
    return 1 << plan.bits, noticed


def _see_first(config: IngestConfig, see: Callable[[pa.RecordBatch], None]) -> None:
    num_rows = 0
    for batch in filter(len, rows(config)):
        see(batch)
        num_rows += len(batch)
        if num_rows >= FIRST_ROWS:
            return


def _pieces(config: IngestConfig, tasks: RowTasks) -> list[Piece]:
    """Returns the pieces of all inputs; Parquet lists are cut by their footers, which tasks read."""
    every = list(enumerate(inputs(config)))
    cut = [each for each in every if is_parquet(each[1], config)]
    whole = [each for each in every if not is_parquet(each[1], config)]
    some = [cut[start : start + FOOTERS] for start in range(0, len(cut), FOOTERS)]
    found = tasks.each(_cut, some, lambda counts: None, "the footers of Parquet lists") if some else []
    ranges = [piece for result in found for piece in json.loads(result)]
    lists = dict(cut)
    pieces = [
        Piece(((ordinal, lists[ordinal]),), range(first, last), first_row) for ordinal, first, last, first_row in ranges
    ]
    return [*pieces, *whole_pieces(whole)]


def _cut(lists: Sequence[tuple[int, Input]]) -> Work:
    """Returns the pieces of Parquet lists as [[ordinal, first row group, the one after the last, first row]]; a task."""
    found = []
    for ordinal, given in lists:
        for piece in row_group_pieces(ordinal, given):
            assert piece.groups is not None
            found.append([ordinal, piece.groups.start, piece.groups.stop, piece.first_row])
    return json.dumps(found).encode(), {}


def _noticed(config: IngestConfig, tasks: RowTasks, pieces: Sequence[Piece], progress: Progress) -> Noticed:
    """Reads everything once, in tasks: counts the rows of pieces, and takes the digests of lists."""
    lists = [each for each in enumerate(inputs(config)) if each[1].kind == "lists" and config.columns.image is None]
    report = lambda counts: progress.advance(sum(counts.values()))  # noqa: E731
    found = tasks.each(partial(_look, config), [*lists, *pieces], report, "the rows of the inputs")
    noticed = Noticed({}, {}, {})
    for result in map(json.loads, found):
        for name, facts in result.items():
            ordinal = int(name)
            noticed.digests.setdefault(ordinal, {}).update(facts["digests"])
            if (more := facts.get("warnings")) is not None:
                noticed.rows[ordinal] = noticed.rows.get(ordinal, 0) + facts["rows"]
                noticed.warnings[ordinal] = _sum(noticed.warnings.get(ordinal, InputWarnings()), more)
    return noticed


def _sum(one: InputWarnings, more: dict[str, int]) -> InputWarnings:
    return replace(one, **{name: getattr(one, name) + count for name, count in more.items()})


def _look(config: IngestConfig, task: Piece | tuple[int, Input]) -> Work:
    """Returns, by ordinal of the input, the digests of a list, or rows and warnings of a piece; a task."""
    if not isinstance(task, Piece):
        ordinal, given = task
        return json.dumps({ordinal: {"digests": digest_of_list(given.url)}}).encode(), {}
    warnings: dict[int, InputWarnings] = {}
    listings: dict[int, Listing] = {}
    num_rows = dict.fromkeys((ordinal for ordinal, _ in task.inputs), 0)
    for batch in filter(len, rows_of_piece(task, config, warnings, listings)):
        num_rows[batch["row_id"][0].as_py() >> ROW_BITS] += len(batch)
    found = {}
    for ordinal, seen in warnings.items():
        listing, counts = listings.get(ordinal), asdict(seen)
        del counts["cut"]
        digests = {} if listing is None else {"bytes": listing.bytes, "listing_sha256": listing.sha256}
        found[ordinal] = {"rows": num_rows[ordinal], "warnings": counts, "digests": digests}
    return json.dumps(found).encode(), {"rows": sum(num_rows.values())}


def _moved_schema(config: IngestConfig) -> pa.Schema:
    return pa.schema([(DIVISION, pa.int32()), (PART, pa.int32()), *partition_schema(config)])


def _moved(config: IngestConfig, store: Store, first_file: int, plan: Plan, piece: Piece) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a piece with their division and partition; copies images that are inside Parquet."""
    schema = _moved_schema(config)
    with tempfile.TemporaryDirectory(prefix="tagmill-", ignore_cleanup_errors=True) as folder:
        pictures = StoredPictures(store, Path(folder))
        for batch in hashed(filter(len, rows_of_piece(piece, config, {}, {}, pictures)), config, first_file):
            parts = top_bits(words_of(batch), plan.bits)
            numbers = [pa.array(parts // plan.together, pa.int32()), pa.array(parts, pa.int32())]
            yield pa.record_batch([*numbers, *batch.columns], schema=schema)


def put_partitions(
    config: IngestConfig, store: Store, plan: Plan, number: int, batches: Iterator[pa.RecordBatch], folder: Path
) -> list[int]:
    """Puts the partitions of some divisions, whose rows come in order, and those of them that have no rows; returns the
    divisions. A task, which may run twice: it puts the same bytes."""
    del number
    schema, done = partition_schema(config), set[int]()
    for part, rows_of_part in by_part(batches):
        table = pa.Table.from_batches(rows_of_part).drop_columns([DIVISION, PART])
        _put(store, table.cast(schema).combine_chunks(), part, folder)
        done.add(part)
    divisions = sorted({part // plan.together for part in done})
    for division in divisions:
        _put_empty(config, store, plan.parts(division) - done, folder)
    return divisions


def by_part(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, list[pa.RecordBatch]]]:
    """Yields (partition, all its rows); memory holds those of one partition."""
    held, current = list[pa.RecordBatch](), -1
    for batch in batches:
        numbers = batch[PART].to_numpy()
        for part in np.unique(numbers).tolist():
            if held and part != current:
                yield current, held
                held = []
            start, stop = np.searchsorted(numbers, [part, part + 1]).tolist()
            current = part
            held.append(batch.slice(start, stop - start))
    if held:
        yield current, held


def _put_empty(config: IngestConfig, store: Store, parts: set[int], folder: Path) -> None:
    for part in sorted(parts):
        _put(store, partition_schema(config).empty_table(), part, folder)


def _put(store: Store, table: pa.Table, part: int, folder: Path) -> None:
    path = folder / f"rows-{part:06d}.parquet"
    write_rows(table, path)
    store.put(rows_file(part), path, give=True)


def write_rows(table: pa.Table, path: Path) -> None:
    """Writes the rows of a partition as `rows.parquet` has them."""
    pq.write_table(table, path, compression="zstd")
