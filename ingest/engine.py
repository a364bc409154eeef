"""Where set work runs: what an SQL engine must offer, and the statements of `ingest/sql` that it is given."""

from importlib import resources
from typing import Protocol

import pyarrow as pa
import pyarrow.dataset as ds

from tagmill.shards.store import Store, handle

Param = int | str


class Engine(Protocol):
    """An SQL engine that works out of core on tables that it is shown. SQL itself neither reads nor writes files.

    Statements are named after their files and written in the dialect of the embedded engine, inside the subset that
    others share: no ORDER BY inside an aggregate, no ordinality, no QUALIFY over unnamed columns, no float sums, no
    engine's own hash; a result whose order matters is ordered by columns that make it total. `$name` is a parameter.
    """

    def bind(self, name: str, source: pa.Table | ds.Dataset) -> None:
        """Makes Arrow data visible to statements as the table `name`."""

    def keep(self, name: str, statement: str, **params: Param) -> None:
        """Runs a statement and keeps its result as the table `name`, in the engine's own scratch space."""

    def run(self, statement: str, **params: Param) -> pa.RecordBatchReader:
        """Runs a statement; its result comes in batches. It must be drained before the next statement runs."""

    def close(self) -> None:
        """Gives the scratch space back."""


def statement_text(name: str) -> str:
    """The text of `ingest/sql/<name>.sql`."""
    return resources.files("tagmill.ingest.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")


def parquet_of(store: Store, names: list[str], schema: pa.Schema) -> ds.Dataset:
    """Parquet objects of a store as one dataset with exactly the columns of `schema`, read lazily."""
    fs, base = handle(store.url)
    return ds.dataset([f"{base.rstrip('/')}/{name}" for name in names], schema=schema, filesystem=fs, format="parquet")
