"""An outcome as one Parquet file: predictions as rows, and what made them as JSON in its metadata."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards import InputError
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.outcome.check import MOST_RANKS, check_outcome
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.sets.labelled_set import SetClass

OUTCOME_FORMAT = 1
SEVERAL_FORMAT = 2  # with the column `accepted`, which readers of the first format would not miss
MOST_ACCEPTED = 1 << 28  # numbers of the array of right classes
_FACTS = b"tagmill.outcome"  # name in the file's metadata
_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("truth", pa.int32(), nullable=False),
        *(
            pa.field(f"top{rank}", pa.int32()) for rank in range(1, MOST_RANKS + 1)
        ),  # null beyond the ranks that are kept
        pa.field("group", pa.string()),  # null in every row of an outcome without groups
    ]
)


_ACCEPTED = pa.field("accepted", pa.list_(pa.int32()), nullable=False)


def outcome_bytes(outcome: Outcome) -> bytes:
    """Returns the file of an outcome; equal outcomes give equal bytes. Raises TagmillError for an inconsistent outcome, and for
    settings that are not numbers, texts, lists and tables of these."""
    check_outcome(outcome)
    facts = {
        "format": OUTCOME_FORMAT if outcome.accepted is None else SEVERAL_FORMAT,
        "protocol": outcome.protocol,
        "model": outcome.model,
        "set": outcome.set,
        "classes": [[each.name, each.synset] for each in outcome.classes],
        "ranks": outcome.top.shape[1],
        "settings": dict(outcome.settings),
        "skipped": dict(outcome.skipped),
    }
    count, ranks = outcome.top.shape
    none = pa.nulls(count, pa.int32())
    columns = [
        pa.array(outcome.keys.tolist(), pa.string()),
        pa.array(outcome.truth, pa.int32()),
        *(pa.array(outcome.top[:, rank], pa.int32()) if rank < ranks else none for rank in range(MOST_RANKS)),
        pa.nulls(count, pa.string()) if outcome.groups is None else pa.array(outcome.groups.tolist(), pa.string()),
    ]
    table = pa.Table.from_arrays(columns, schema=_SCHEMA.with_metadata({_FACTS: canonical_json(facts)}))
    if outcome.accepted is not None:
        lists = [[label for label in row if label >= 0] for row in outcome.accepted.tolist()]
        table = table.append_column(_ACCEPTED, pa.array(lists, _ACCEPTED.type))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")  # the Arrow schema carries the facts
    return bytes(sink.getvalue())


def read_outcome(data: bytes, where: str) -> Outcome:
    """Parses `outcome_bytes`. `where` is for messages. Raises InputError for other bytes."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
        facts = json.loads((file.metadata.metadata or {})[_FACTS])
        several = _ACCEPTED.name in file.schema_arrow.names
        if facts["format"] != (SEVERAL_FORMAT if several else OUTCOME_FORMAT):
            raise ValueError(f"format {facts['format']!r}")
        table = file.read(columns=_SCHEMA.names, use_threads=False).select(_SCHEMA.names).cast(_SCHEMA)
        outcome = _outcome(facts, table)
        if several:
            lists = file.read(columns=[_ACCEPTED.name], use_threads=False).column(0).cast(_ACCEPTED.type)
            outcome = replace(outcome, accepted=_accepted(lists.combine_chunks(), len(outcome.classes)))
    except (pa.ArrowException, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"not an outcome: {error}", where, "give a file that tagmill transfer wrote") from error
    check_outcome(outcome, where)
    return outcome


def _accepted(lists: pa.ListArray, classes: int) -> npt.NDArray[np.int64]:
    if lists.null_count or lists.flatten().null_count:
        raise ValueError("an image without right classes")
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    most = int(lengths.max(initial=1))
    if most > classes or most * len(lengths) > MOST_ACCEPTED:
        raise ValueError(f"an image of {most:,} right classes")
    found = np.full((len(lengths), most), -1, np.int64)
    found[np.arange(most) < lengths[:, None]] = lists.flatten().to_numpy(zero_copy_only=False)
    return found


def _outcome(facts: dict[str, Any], table: pa.Table) -> Outcome:
    top = [table.column(f"top{rank}").to_numpy() for rank in range(1, int(facts["ranks"]) + 1)]
    groups = table.column("group")
    return Outcome(
        protocol=str(facts["protocol"]),
        model=str(facts["model"]),
        set=str(facts["set"]),
        classes=tuple(SetClass(str(name), synset) for name, synset in facts["classes"]),
        keys=np.array(table.column("key").to_pylist(), np.str_),
        truth=table.column("truth").to_numpy().astype(np.int64),
        top=np.stack(top, axis=1).astype(np.int64),
        settings=dict(facts["settings"]),
        skipped={str(reason): int(count) for reason, count in facts["skipped"].items()},
        groups=None if groups.null_count == len(groups) else np.array(groups.to_pylist(), np.str_),
    )
