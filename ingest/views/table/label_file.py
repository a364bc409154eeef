"""A table of labels as people have it: Parquet or CSV with the columns key and label, a label by its id or its name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.engines.engine import Engine, GeneratedTable, parquet_of
from tagmill.ingest.labels.synsets import SynsetSet
from tagmill.ingest.sources.decompress import open_input, open_lines
from tagmill.ingest.sources.inputs import suffixes
from tagmill.ingest.sources.tables import separated
from tagmill.ingest.views.table.label_rows import LABEL_ROWS
from tagmill.shards.errors import ConfigError
from tagmill.shards.storage.store import Store

KEY, LABEL = "key", "label"
NAMED_ROWS = pa.schema([("key", pa.string()), ("name", pa.string())])
LABEL_NAMES = pa.schema([("name", pa.string()), ("label", pa.int64())])
_COLUMNS = "a table has the columns key (32 hex digits) and label (an id or a name)"


@dataclass(frozen=True)
class LabelFile:
    """A Parquet file, a folder of Parquet files, or a CSV or TSV file, which may be packed."""

    url: str

    @property
    def where(self) -> str:
        return self.url

    def recipe(self) -> Mapping[str, Any]:
        return {"kind": "table"}

    def bind(self, engine: Engine, classes: Mapping[SynsetSet, str]) -> None:
        by_id = False
        if suffixes(self.url)[0] in ("csv", "tsv"):
            engine.bind("named_rows", GeneratedTable(NAMED_ROWS, [self.url], _csv_batches))
        else:
            store, names = _parquet_files(self.url)
            kinds = [_has_ids(store, name) for name in names]
            by_id = all(kinds)
            schema = LABEL_ROWS if by_id else NAMED_ROWS
            table = GeneratedTable(schema, names, partial(_parquet_batches, store, schema))
            engine.bind("label_rows" if by_id else "named_rows", table)
        if not by_id:
            engine.bind("label_names", _names(classes))
            engine.keep("label_rows", "named_labels")


def _parquet_files(url: str) -> tuple[Store, list[str]]:
    """Returns the store and the names of a Parquet file, or of all in a folder. Raises ConfigError where there is none."""
    names = sorted(found for found, _ in Store(url).listing() if found.endswith(".parquet"))
    if names:
        return Store(url), names
    folder, slash, name = url.rpartition("/")
    parent = Store(folder or slash or ".")
    if suffixes(url)[0] != "parquet" or not parent.exists(name):
        raise ConfigError("no table of labels here", url, "give a .parquet, .csv or .tsv file, or a folder of Parquet")
    return parent, [name]


def _has_ids(store: Store, name: str) -> bool:
    """Whether the labels of a Parquet file are ids, not names. Raises ConfigError for other columns."""
    where = f"{store.url.rstrip('/')}/{name}"
    with open_input(where) as file:
        schema = pq.ParquetFile(file).schema_arrow
    for column in (KEY, LABEL):
        if schema.names.count(column) != 1:
            found = ", ".join(schema.names)
            raise ConfigError(f"{schema.names.count(column)} columns {column!r}", where, f"{_COLUMNS}; it has {found}")
    key, label = _plain(schema.field(KEY).type), _plain(schema.field(LABEL).type)
    if not _is_text(key):
        raise ConfigError(f"keys of type {key}", where, _COLUMNS)
    if not _is_text(label) and not pa.types.is_integer(label):
        raise ConfigError(f"labels of type {label}", where, _COLUMNS)
    return bool(pa.types.is_integer(label))


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _parquet_batches(store: Store, schema: pa.Schema, name: str) -> Iterator[pa.RecordBatch]:
    stored = pa.schema([(KEY, pa.string()), (LABEL, schema.types[1])])
    for batch in parquet_of(store, [name], stored).batches(name):
        yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _csv_batches(url: str) -> Iterator[pa.RecordBatch]:
    kind, packed = suffixes(url)
    with open_lines(url, packed) as head:
        found = [] if head.empty else separated(head, kind, quotes=True).schema.names
    for column in (KEY, LABEL):
        if found.count(column) != 1:
            what = f"{found.count(column)} columns {column!r}"
            raise ConfigError(what, url, f"{_COLUMNS}; it has {', '.join(found) or 'none'}")
    with open_lines(url, packed) as lines:
        for batch in separated(lines, kind, [KEY, LABEL], quotes=True):
            yield pa.RecordBatch.from_arrays(batch.columns, schema=NAMED_ROWS)


def _names(classes: Mapping[SynsetSet, str]) -> pa.Table:
    """Returns the texts that mean a label: its name, else its synsets, else its id. A text that is the name of two labels means
    none of them."""
    found: dict[str, int] = {}
    given = list(classes.values())
    for number, name in enumerate(given):
        if name:
            found[name] = -1 if name in found else number
    for number, synsets in enumerate(classes):
        found.setdefault("+".join(synsets), number)
    for number in range(len(classes)):
        found.setdefault(str(number), number)
    return pa.table([list(found), list(found.values())], schema=LABEL_NAMES)
