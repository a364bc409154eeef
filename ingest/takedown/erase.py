"""Removes from the tables of rejects and of the ledger what a purge must not leave there: addresses and tags.

What stays is what an account of the corpus needs: which row of which input it was, what became of it, when it was asked for,
and the key that a duplicate yields to.
"""

from collections.abc import Callable, Set

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.http.urls import normalise
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.side_tables import SIDE_ROWS
from tagmill.shards.storage.store import Store

ERASED = {"rejects": ("url", "detail", "tags"), "ledger": ("url", "host")}

Forbids = Callable[[str | None], object]


def erase(store: Store, keys: Set[str], urls: Set[str], forbids: Forbids) -> int:
    """Empties these columns in every row whose URL is forbidden or in `urls` (normal forms), or that yields to one of `keys`;
    returns how many it changed. The ledger goes first: it is found by the URLs of the rejects, which the next step removes.
    """
    urls = urls | {url for name in tables(store, "rejects") for url in _yielding(store, name, keys)}
    changed = 0
    for folder in ("ledger", "rejects"):
        for name in tables(store, folder):
            table = read_table(store.read(name))
            yields = table["yields_to"].to_pylist() if folder == "rejects" else [None] * len(table)
            gone = [
                url is not None and (to in keys or normalise(url) in urls or bool(forbids(url)))
                for url, to in zip(table["url"].to_pylist(), yields, strict=True)
            ]
            if any(gone):
                store.put(name, _emptied(table, gone, ERASED[folder]))
                changed += sum(gone)
    return changed


def tables(store: Store, folder: str) -> list[str]:
    """The Parquet files of a folder of the corpus."""
    return [name for name in store.names(folder) if name.endswith(".parquet")]


def _yielding(store: Store, name: str, keys: Set[str]) -> list[str]:
    """The normal forms of the URLs of rejects that yield to one of `keys`."""
    table = read_table(store.read(name), ["url", "yields_to"])
    rows = zip(table["url"].to_pylist(), table["yields_to"].to_pylist(), strict=True)
    return [normalise(url) for url, to in rows if url is not None and to in keys]


def _emptied(table: pa.Table, gone: list[bool], columns: tuple[str, ...]) -> bytes:
    for column in columns:
        place, field = table.schema.get_field_index(column), table.schema.field(column)
        values = [None if away else value for value, away in zip(table[column].to_pylist(), gone, strict=True)]
        table = table.set_column(place, field, pa.array(values, field.type))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=SIDE_ROWS, compression="zstd", store_schema=False)
    return bytes(sink.getvalue())
