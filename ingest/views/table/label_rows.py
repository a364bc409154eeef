"""Labels of samples from a table (key, label): joined with the corpus by the SQL engine, counted, and split by shard."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.engines.engine import Engine
from tagmill.ingest.labels.synsets import SynsetSet
from tagmill.ingest.views.sample_locations import by_shard, sample_locations
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import Named, ShardEntry
from tagmill.shards.storage.store import Store

LABEL_ROWS = pa.schema([("key", pa.string()), ("label", pa.int64())])  # the table that statements read
SHARD_LABELS = pa.schema([("ordinal", pa.int32()), ("label", pa.int32())])


class LabelTable(Protocol):
    """Where the labels of samples come from, if not from their tags."""

    @property
    def where(self) -> str:
        """The table's address, for messages."""

    def bind(self, engine: Engine, classes: Mapping[SynsetSet, str]) -> None:
        """Shows the engine the table `label_rows` (schema LABEL_ROWS). A label is the place in `classes`, the labels of the
        vocabulary with their names. Raises ConfigError for a table that cannot be read."""

    def recipe(self) -> Mapping[str, Any]:
        """Returns what the view's recipe has of the table, beside the digest of its content."""


@dataclass(frozen=True)
class RowCounts:
    """The rows of a table, each counted once: those that are not used, by reason, and all."""

    total: int = 0
    unknown_keys: int = 0  # no sample of the corpus has the key
    unknown_labels: int = 0  # of known keys: no label of the vocabulary has this id or name
    repeated: int = 0  # rows beyond the first with the same key and label

    @property
    def used(self) -> int:
        """Distinct pairs of a sample and a label."""
        return self.total - self.unknown_keys - self.unknown_labels - self.repeated


@dataclass(frozen=True)
class LabelRows:
    """The labels of each shard that has any: a local file of schema SHARD_LABELS, distinct and ascending."""

    counts: RowCounts
    sha256: str  # of the content, independent of the engine and of the table's format
    files: dict[str, Path] = field(default_factory=dict)  # by name of the shard


def label_rows(
    engine: Engine,
    table: LabelTable,
    store: Store,
    manifest: Named,
    entries: Sequence[ShardEntry],
    classes: Mapping[SynsetSet, str],
    spool: Path,
) -> LabelRows:
    """Joins a table with the samples of a corpus. Memory holds the labels of one shard.

    Raises ConfigError where no row leads to a label of a sample.
    """
    table.bind(engine, classes)
    engine.bind("sample_locations", sample_locations(store, manifest, list(entries)))
    engine.keep("label_pairs", "label_pairs")
    last = len(classes) - 1
    (row,) = engine.run("label_counts", last=last).read_all().to_pylist()
    counts = RowCounts(**{name: number or 0 for name, number in row.items()})
    _check(counts, table.where)
    digest = hashlib.sha256()
    files = {}
    for number, found in by_shard(engine.run("label_places", last=last), SHARD_LABELS):
        name = entries[number].name
        files[name] = spool / f"table-{name}.parquet"
        pq.write_table(found, files[name])
        digest.update(f"{name} {len(found)}\n".encode())
        for column in found.columns:
            digest.update(column.to_numpy().astype("<i4").tobytes())
    return LabelRows(counts, digest.hexdigest(), files)


def _check(counts: RowCounts, where: str) -> None:
    if counts.used:
        return
    if not counts.total:
        raise ConfigError("the table of labels has no rows", where, "give a table with the columns key and label")
    if counts.unknown_keys == counts.total:
        what = f"none of {counts.total:,} rows has the key of a sample of this corpus"
        raise ConfigError(what, where, "give the corpus of the table; a key has 32 hex digits in lower case")
    what = f"none of {counts.total - counts.unknown_keys:,} rows with a known key has a label of the vocabulary"
    raise ConfigError(what, where, "give the --vocabulary whose ids or names the table has")
