"""Columns of an export: the facts of a sample, and the source's own columns with one type in all parts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards.exchange.samples import Part
from tagmill.shards.formats.record import FACTS
from tagmill.shards.many_requests import in_order, requests_at_once
from tagmill.shards.storage.store import Store
from tagmill.shards.vocabulary import Vocabulary

# Facts that an export has, in order; offset, size and crc32 are of the corpus's own tars.
PLAIN_FACTS = (
    "key",
    "sha256",
    "width",
    "height",
    "original_width",
    "original_height",
    "tags",
    "url",
    "licence",
    "page",
)
MASK = (1 << 64) - 1


def own_columns(store: Store, parts: Sequence[Part]) -> pa.Schema:
    """Returns the source's own columns of all shards that an export reads. Shards of different runs may have different
    ones; a column whose types differ becomes float64 where all are numbers, else string."""
    read = in_order(partial(_own, store), (part.entry.name for part in parts), requests_at_once(store))
    found: dict[str, pa.DataType] = {}
    for schema in read:
        for field in schema:
            found[field.name] = _joined(found.get(field.name, field.type), field.type)
    return pa.schema(list(found.items()))


def _own(store: Store, shard: str) -> pa.Schema:
    with store.open(f"shards/{shard}.parquet") as file:
        schema = pq.ParquetFile(file, pre_buffer=False).schema_arrow
    return pa.schema([field for field in schema if field.name not in FACTS.names])


def _joined(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other:
        return one
    numbers = all(pa.types.is_integer(each) or pa.types.is_floating(each) for each in (one, other))
    return pa.float64() if numbers else pa.string()


def column(facts: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    """Returns a column of a shard's table as `kind`; nulls where this shard has no such column."""
    if name not in facts.column_names:
        return pa.nulls(len(facts), kind)
    found = facts[name].combine_chunks()
    return found if found.type == kind else found.cast(kind)


def pdq_hex(facts: pa.Table) -> pa.Array:
    """Returns the PDQ hashes as 64 hex digits, null where there is none."""
    words = zip(*(facts[f"pdq{number}"].to_pylist() for number in range(4)), strict=True)
    return pa.array(
        [None if None in row else "".join(f"{word & MASK:016x}" for word in row) for row in words], pa.string()
    )


def renamed(own: Sequence[str], taken: Iterable[str]) -> dict[str, str]:
    """Returns the name of each of the source's own columns in an export, whose other columns are `taken`: the same, or
    with `source_` in front where the export has a column of that name."""
    taken = {*taken}
    used, found = taken | {*own}, dict[str, str]()
    for name in own:
        new = name
        if name in taken:
            while new in used:
                new = f"source_{new}"
            used.add(new)
        found[name] = new
    return found


def label_names(vocabulary: Vocabulary) -> list[str]:
    """Returns a name for each label id, all different: a label's own name, with its synsets where others have it too."""
    count = Counter(label.name for label in vocabulary.labels)
    used, found = set[str](), list[str]()
    for label in vocabulary.labels:
        name = label.name if count[label.name] == 1 else f"{label.name} ({'+'.join(label.synsets)})"
        while name in used:
            name = f"{name} ({label.id})"
        used.add(name)
        found.append(name)
    return found
