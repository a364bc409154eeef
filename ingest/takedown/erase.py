"""Erases URLs and tags from rejects and ledger, which a purge must not leave there.

Kept is what accounts for the corpus: which row of which input it was, what became of it, when it was fetched, and of
which sample it is a duplicate.
"""

from collections.abc import Callable, Set

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.http.urls import normalise
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.many_requests import TABLES_AT_ONCE, read_many
from tagmill.shards.side_tables import SIDE_ROWS
from tagmill.shards.storage.store import Store

ERASED = {"rejects": ("url", "detail", "tags"), "ledger": ("url", "host")}

Forbids = Callable[[str | None], object]


def erase(store: Store, keys: Set[str], urls: Set[str], forbids: Forbids) -> int:
    """Empties the columns ERASED in rows whose URL is forbidden or in `urls` (normalised), or that are duplicates of `keys`.

    Returns the number of changed rows. The ledger comes first, because its rows are found by the URLs of the rejects.
    """
    rejects = read_many(store, tables(store, "rejects"), TABLES_AT_ONCE)
    urls = urls | {url for data in rejects for url in _duplicates_of(data, keys)}
    changed = 0
    for folder in ("ledger", "rejects"):
        names = tables(store, folder)
        for name, data in zip(names, read_many(store, names, TABLES_AT_ONCE), strict=True):
            table = read_table(data)
            duplicate_of = table["yields_to"].to_pylist() if folder == "rejects" else [None] * len(table)
            erased = [
                url is not None and (key in keys or normalise(url) in urls or bool(forbids(url)))
                for url, key in zip(table["url"].to_pylist(), duplicate_of, strict=True)
            ]
            if any(erased):
                store.put(name, _emptied(table, erased, ERASED[folder]))
                changed += sum(erased)
    return changed


def tables(store: Store, folder: str) -> list[str]:
    """Returns the names of the Parquet files of a folder of the corpus."""
    return [name for name in store.names(folder) if name.endswith(".parquet")]


def _duplicates_of(rejects: bytes, keys: Set[str]) -> list[str]:
    """Returns the normalised URLs of rejects that are duplicates of one of `keys`."""
    table = read_table(rejects, ["url", "yields_to"])
    rows = zip(table["url"].to_pylist(), table["yields_to"].to_pylist(), strict=True)
    return [normalise(url) for url, key in rows if url is not None and key in keys]


def _emptied(table: pa.Table, erased: list[bool], columns: tuple[str, ...]) -> bytes:
    for column in columns:
        index, field = table.schema.get_field_index(column), table.schema.field(column)
        values = [None if empty else value for value, empty in zip(table[column].to_pylist(), erased, strict=True)]
        table = table.set_column(index, field, pa.array(values, field.type))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=SIDE_ROWS, compression="zstd", store_schema=False)
    return bytes(sink.getvalue())
