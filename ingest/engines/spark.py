"""Spark SQL as an engine: translates the statements of `ingest/engines/sql`; Spark tasks read tables through our store."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from tagmill.ingest.engines.dialect import to_spark
from tagmill.ingest.engines.engine import TABLE_ROWS, GeneratedTable, Param, Parquet, TableSource, statement_text
from tagmill.ingest.engines.spark_session import Cluster, explained
from tagmill.shards.errors import TagmillError


class Spark:
    """See `Engine`. Several may be opened one after another on a cluster; each has its own tables."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._kept: dict[str, Any] = {}  # data frames by name
        self._names: set[str] = set()

    @property
    def here(self) -> bool:
        return self._cluster.local

    def bind(self, name: str, source: TableSource) -> None:
        made = _generated(source, name, local=self._cluster.local)
        self._show(name, self._cluster.frame(made.schema, made.items, made.make))

    def keep(self, name: str, statement: str, **params: Param) -> None:
        with explained(f"statement {statement}"):
            frame = self._cluster.kept(self._frame(statement, params))
        self._show(name, frame)
        if (before := self._kept.pop(name, None)) is not None:
            before.unpersist()
        self._kept[name] = frame

    def run(self, statement: str, **params: Param) -> pa.RecordBatchReader:
        with explained(f"statement {statement}"):
            return self._cluster.batches(self._frame(statement, params), f"statement {statement}")

    def close(self) -> None:
        for frame in self._kept.values():
            frame.unpersist()
        for name in self._names:
            self._cluster.session.catalog.dropTempView(name)
        self._kept = {}
        self._names = set()

    def _frame(self, statement: str, params: dict[str, Param]) -> Any:
        return self._cluster.session.sql(to_spark(statement_text(statement)), args=params or None)

    def _show(self, name: str, frame: Any) -> None:
        frame.createOrReplaceTempView(name)
        self._names.add(name)


def _generated(source: TableSource, name: str, *, local: bool) -> GeneratedTable:
    """Returns any table as a generated one."""
    if isinstance(source, GeneratedTable):
        return source
    if isinstance(source, Parquet):
        return GeneratedTable(source.schema, source.names, source.batches)
    if isinstance(source, pa.Table):
        return GeneratedTable(source.schema, source.to_batches(max_chunksize=TABLE_ROWS), _single)
    if not local:
        remedy = "bind Parquet of a store, or a GeneratedTable"
        raise TagmillError("a dataset of this machine, which the executors do not see", f"table {name}", remedy)
    return GeneratedTable(source.schema, list(source.get_fragments()), partial(_fragment, source.schema))


def _single(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    yield batch


def _fragment(schema: pa.Schema, fragment: ds.Fragment) -> Iterator[pa.RecordBatch]:
    yield from fragment.to_batches(schema=schema, batch_size=TABLE_ROWS, use_threads=False)
