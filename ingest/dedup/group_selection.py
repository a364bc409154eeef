"""The selection of one pack group: what becomes of each of its rows, from their facts and from what was decided.

Groups are independent, so they are made at once, by threads or by tasks of a cluster. A task reads the facts of its own
parts and the decisions about them, and puts one file.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.engines.engine import Parquet
from tagmill.ingest.engines.table_files import TableWriter
from tagmill.ingest.layout import selection_file
from tagmill.shards.errors import CorpusError
from tagmill.shards.storage.store import Store

# One row for every row of the input, sorted by part and place. Exactly one of split and reason is set.
SELECTION = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("place", pa.int32(), nullable=False),
        pa.field("key", pa.string()),  # null where there is no image
        pa.field("sample_bytes", pa.int64()),
        pa.field("split", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("yields_to", pa.string()),  # of a duplicate: the key of the sample that is kept
    ]
)
# Rows that are dropped, with the part that each is in, by which they are divided. In decisions no reason: held out.
DROPPED = pa.schema([("row_id", pa.int64()), ("part", pa.int32()), ("reason", pa.string()), ("yields_to", pa.string())])
STAMP = b"tagmill.stamp"  # metadata key of the stamp in a group's file
_FACTS = ["row_id", "part", "place", "reason", "key", "sample_bytes"]
_CHUNK = 1 << 16  # rows that are decided at a time, about


@dataclass(frozen=True)
class GroupTask:
    """A group and its inputs: the facts of its parts, and the object with decisions about them (none: no objects)."""

    store: Store  # of the selection
    group: int
    first: int  # part
    last: int  # the part after the last
    facts: pa.Table | Parquet
    decided: Parquet
    stamp: str
    there: bool  # whether the store has a file for the group


def read_group(store: Store, group: int, columns: list[str], stamp: str) -> pa.Table:
    """Reads columns of a group's selection. Raises CorpusError where it was made under another stamp."""
    with store.open(selection_file(group)) as file:
        table = pq.ParquetFile(file).read(columns, use_threads=False)
    if (table.schema.metadata or {}).get(STAMP, b"").decode() != stamp:
        remedy = "one run at a time makes a corpus: end the other, and run the command again"
        raise CorpusError("another run selects here", f"{store.url.rstrip('/')}/{selection_file(group)}", remedy)
    return table


def select_group(task: GroupTask, folder: Path) -> tuple[bytes, Mapping[str, int]]:
    """Puts the selection of a group, unless it is there under the same stamp. `folder` is a local scratch folder.

    Returns the rows by split and by reason, as JSON that `counts_of` reads, and the same for the progress.
    """
    counts = _counts_there(task) if task.there else None
    if counts is None:
        counts = Counter()
        decided, path = _Decided.read(task), folder / f"selection-{task.group:06d}.parquet"
        with TableWriter(path, SELECTION.with_metadata({STAMP: task.stamp.encode()})) as writer:
            for facts in _in_order(task):
                rows = decided.outcomes(facts)
                _count(counts, rows)
                for batch in rows.to_batches():
                    writer.write(batch)
        task.store.put(selection_file(task.group), path, give=True)
    splits, reasons = ({name: n for (kind, name), n in sorted(counts.items()) if kind == of} for of in _KINDS)
    return json.dumps([splits, reasons]).encode(), {"ok": sum(splits.values()), **reasons}


def counts_of(result: bytes) -> tuple[dict[str, int], dict[str, int]]:
    """Returns (rows by split, rows by reason) of what `select_group` returns."""
    splits, reasons = json.loads(result)
    return splits, reasons


_KINDS = ("split", "reason")


def _count(counts: Counter[tuple[str, str]], rows: pa.Table) -> None:
    for kind in _KINDS:
        for count in rows[kind].drop_null().value_counts().to_pylist():
            counts[kind, count["values"]] += count["counts"]


def _counts_there(task: GroupTask) -> Counter[tuple[str, str]] | None:
    """Counts the rows of the file that is there; None where another stamp made it."""
    counts: Counter[tuple[str, str]] = Counter()
    try:
        _count(counts, read_group(task.store, task.group, list(_KINDS), task.stamp))
    except CorpusError:
        return None
    return counts


def _in_order(task: GroupTask) -> Iterator[pa.Table]:
    """Yields the facts of the group in order of part and place, about _CHUNK rows at a time."""
    if isinstance(task.facts, pa.Table):
        order = [("part", "ascending"), ("place", "ascending")]
        yield task.facts.select(_FACTS).sort_by(order).combine_chunks()
        return
    schema = pa.schema([task.facts.schema.field(name) for name in _FACTS])
    facts = task.facts.of(schema)
    waiting: list[pa.RecordBatch] = []
    for name in facts.names:
        waiting += facts.batches(name)
        if sum(map(len, waiting)) >= _CHUNK:
            yield _sorted(pa.Table.from_batches(waiting, schema))
            waiting = []
    if waiting:
        yield _sorted(pa.Table.from_batches(waiting, schema))


def _sorted(facts: pa.Table) -> pa.Table:
    """Returns whole parts in order; a part is written in the order of its places."""
    order = (facts["part"].to_numpy().astype(np.int64) << 32) + facts["place"].to_numpy()
    assert (order[1:] > order[:-1]).all(), "an object has one part, in order"
    return facts.combine_chunks()


@dataclass(frozen=True)
class _Decided:
    """What was decided about rows of a group. Rows that are not in it become training samples if they have an image."""

    row_ids: npt.NDArray[np.int64]  # sorted
    reason: pa.Array  # null: held out
    yields_to: pa.Array

    @classmethod
    def read(cls, task: GroupTask) -> "_Decided":
        """Reads the row groups that have parts of the group."""
        found = [DROPPED.empty_table()]
        for name in task.decided.names:
            with task.decided.store.open(name) as opened:
                file = pq.ParquetFile(opened)
                groups = [number for number in range(file.num_row_groups) if _overlaps(file, number, task)]
                found.append(file.read_row_groups(groups, use_threads=False).cast(DROPPED))
        table = pa.concat_tables(found)
        parts = table["part"].to_numpy()
        table = table.filter(pa.array((parts >= task.first) & (parts < task.last)))
        row_ids = table["row_id"].to_numpy()
        order = row_ids.argsort()
        reason, yields_to = (table[name].combine_chunks().take(pa.array(order)) for name in ("reason", "yields_to"))
        return cls(row_ids[order], reason, yields_to)

    def outcomes(self, facts: pa.Table) -> pa.Table:
        """Returns the selection of these rows, in their order (schema SELECTION)."""
        row_ids = facts["row_id"].to_numpy()
        at = np.searchsorted(self.row_ids, row_ids)
        met = np.zeros(len(row_ids), np.bool_)
        inside = at < len(self.row_ids)
        met[inside] = self.row_ids[at[inside]] == row_ids[inside]
        where = pa.array(at, mask=~met)
        dropped, key = self.reason.take(where), facts["key"]
        reason = pc.coalesce(facts["reason"], dropped)
        failed = pc.is_valid(facts["reason"])
        by_url = pc.fill_null(pc.equal(facts["reason"], "duplicate"), False)
        split = pc.if_else(pa.array(met), pa.scalar("holdout"), pa.scalar("train"))
        none = pa.scalar(None, pa.string())
        columns = [
            facts["row_id"],
            facts["part"],
            facts["place"],
            pc.if_else(failed, none, key),
            facts["sample_bytes"],
            pc.if_else(pc.is_valid(reason), none, split),
            reason,
            pc.if_else(by_url, key, self.yields_to.take(where)),
        ]
        return pa.table(columns, schema=SELECTION)


def _overlaps(file: pq.ParquetFile, number: int, task: GroupTask) -> bool:
    parts = file.metadata.row_group(number).column(file.schema_arrow.get_field_index("part")).statistics
    return parts is None or (parts.min < task.last and parts.max >= task.first)
