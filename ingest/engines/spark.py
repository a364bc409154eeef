"""Spark SQL as an engine: translates the statements of `ingest/engines/sql`; Spark tasks read tables through our store."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.dataset as ds

from tagmill.ingest.engines.dialect import to_spark
from tagmill.ingest.engines.engine import (
    DIVIDED_ROW_GROUP,
    TABLE_ROWS,
    GeneratedTable,
    Param,
    Parquet,
    TableSource,
    Work,
    statement_text,
)
from tagmill.ingest.engines.spark_errors import explained
from tagmill.ingest.engines.spark_session import Cluster, task_folder
from tagmill.ingest.engines.table_files import TableWriter, write_divisions
from tagmill.shards.errors import TagmillError
from tagmill.shards.storage.store import Store

T = TypeVar("T")


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

    def bind_once(self, name: str, source: TableSource) -> None:
        made = _generated(source, name, local=self._cluster.local)
        with explained(f"table {name}"):
            self._hold(name, self._cluster.held(self._cluster.frame(made.schema, made.items, made.make)))

    def readable(self, source: Parquet) -> Parquet:
        return source

    def keep(self, name: str, statement: str, **params: Param) -> None:
        with explained(f"statement {statement}"):
            self._hold(name, self._cluster.kept(self._frame(statement, params)))

    def run(self, statement: str, **params: Param) -> pa.RecordBatchReader:
        with explained(f"statement {statement}"):
            return self._cluster.batches(self._frame(statement, params), f"statement {statement}")

    def save(
        self, statement: str, schema: pa.Schema, store: Store, name_of: Callable[[int], str], **params: Param
    ) -> list[str]:
        with explained(f"statement {statement}"):
            frame = self._frame(statement, params)
        write = partial(_put_partition, store, name_of, schema)
        return [name_of(number) for number in self._cluster.written(frame, write, f"statement {statement}")]

    def save_divided(
        self, statement: str, schema: pa.Schema, store: Store, name_of: Callable[[int], str], size: int, **params: Param
    ) -> list[int]:
        with explained(f"statement {statement}"):
            frame = self._cluster.divided(self._frame(statement, params), f"part div {size}", ["part", "row_id"])
        write = partial(_put_divisions, store, name_of, schema, size)
        return self._cluster.written(frame, write, f"statement {statement}")

    def each(
        self, work: Callable[[T, Path], Work], tasks: Sequence[T], report: Callable[[dict[str, int]], None], what: str
    ) -> list[bytes]:
        return self._cluster.each(partial(_in_folder, work), tasks, report, what)

    def close(self) -> None:
        for frame in self._kept.values():
            frame.unpersist()
        for name in self._names:
            self._cluster.session.catalog.dropTempView(name)
        self._kept = {}
        self._names = set()

    def _frame(self, statement: str, params: dict[str, Param]) -> Any:
        return self._cluster.session.sql(to_spark(statement_text(statement)), args=params or None)

    def _hold(self, name: str, frame: Any) -> None:
        """Shows a frame that is kept, in place of the one of that name."""
        self._show(name, frame)
        if (before := self._kept.pop(name, None)) is not None:
            before.unpersist()
        self._kept[name] = frame

    def _show(self, name: str, frame: Any) -> None:
        frame.createOrReplaceTempView(name)
        self._names.add(name)


def _generated(source: TableSource, name: str, *, local: bool) -> GeneratedTable:
    """Returns any table as a generated one."""
    if isinstance(source, GeneratedTable):
        return source
    if isinstance(source, Parquet):
        objects = [source.slice(number, number + 1) for number in range(len(source.names))]
        return GeneratedTable(source.schema, objects, _object)
    if isinstance(source, pa.Table):
        return GeneratedTable(source.schema, source.to_batches(max_chunksize=TABLE_ROWS), _single)
    if not local:
        remedy = "bind Parquet of a store, or a GeneratedTable"
        raise TagmillError("a dataset of this machine, which the executors do not see", f"table {name}", remedy)
    return GeneratedTable(source.schema, list(source.get_fragments()), partial(_fragment, source.schema))


def _object(table: Parquet) -> Iterator[pa.RecordBatch]:
    yield from table.batches(table.names[0])


def _single(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    yield batch


def _fragment(schema: pa.Schema, fragment: ds.Fragment) -> Iterator[pa.RecordBatch]:
    yield from fragment.to_batches(schema=schema, batch_size=TABLE_ROWS, use_threads=False)


def _put_partition(
    store: Store,
    name_of: Callable[[int], str],
    schema: pa.Schema,
    number: int,
    batches: Iterator[pa.RecordBatch],
    folder: Path,
) -> list[int]:
    """Puts the rows of a partition as one object, none without rows; runs in a task."""
    with TableWriter(folder / "saved.parquet", schema) as writer:
        for batch in batches:
            writer.write(batch.cast(schema))
    if not writer.rows:
        return []
    store.put(name_of(number), writer.path, give=True)
    return [number]


def _put_divisions(
    store: Store,
    name_of: Callable[[int], str],
    schema: pa.Schema,
    size: int,
    number: int,
    batches: Iterator[pa.RecordBatch],
    folder: Path,
) -> list[int]:
    """Puts the divisions that are in a partition; runs in a task."""
    del number
    cast = (batch.cast(schema) for batch in batches)
    put = lambda division, path: store.put(name_of(division), path, give=True)  # noqa: E731
    return write_divisions(cast, schema, size, DIVIDED_ROW_GROUP, folder, put)


def _in_folder(work: Callable[[T, Path], Work], task: T) -> Work:
    """Runs in a task, in a folder of its own: two runs of one task may overlap."""
    with task_folder() as folder:
        return work(task, folder)
