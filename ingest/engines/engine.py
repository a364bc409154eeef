"""The interface of an SQL engine, the tables that are bound to it, and the statements in `ingest/engines/sql`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards.many_requests import in_order
from tagmill.shards.storage.store import Store, handle

if TYPE_CHECKING:
    import pyarrow.dataset as ds

T = TypeVar("T")
Param = int | str
Work = tuple[bytes, Mapping[str, int]]  # what a task returns: its result, and counts for the progress
TABLE_ROWS = 1 << 14  # rows of a table in memory while it is read
SINGLE_READ = 1 << 26  # bytes; longer objects of a remote store are read in pieces
DIVIDED_ROW_GROUP = 1 << 14  # rows of a row group of a table that is read a few parts at a time
COPIES_AT_ONCE = 16  # objects that are copied from a remote store at a time


@dataclass(frozen=True)
class Parquet:
    """Parquet objects of a store as one table with exactly the columns of `schema`; opened lazily.

    `sizes` are the lengths of the objects in bytes, where they are known: reading one then needs no request for it.
    """

    store: Store
    names: tuple[str, ...]
    schema: pa.Schema
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.sizes) in (0, len(self.names)), "a size for every object, or for none"

    def slice(self, first: int, last: int) -> "Parquet":
        """Returns the table of the objects `first` to `last` - 1."""
        return replace(self, names=self.names[first:last], sizes=self.sizes[first:last])

    def of(self, schema: pa.Schema) -> "Parquet":
        """Returns the table of other columns of the same objects."""
        return replace(self, schema=schema)

    def copied(self, folder: Path, threads: int = COPIES_AT_ONCE) -> "Parquet":
        """Copies the objects of a remote store into a local folder, `threads` at a time, and returns the table of the
        copies; a local store's table is returned as it is.

        An object of a known size is copied by one request for each SINGLE_READ bytes of it. The copies have the names
        of the objects. Raises FileNotFoundError, and IntegrityError where an object does not have its size.
        """
        if self.store.root is not None:
            return self
        for _ in in_order(lambda name: self._copy(name, folder / name), self.names, threads):
            pass
        return replace(self, store=Store(str(folder)))

    def _copy(self, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        size = self._sizes.get(name)
        with path.open("wb") as file:
            if size is None:
                file.write(self.store.read(name))
            else:
                for start in range(0, size, SINGLE_READ):
                    file.write(self.store.read_range(name, start, min(start + SINGLE_READ, size), size))

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return dict(zip(self.names, self.sizes, strict=bool(self.sizes)))

    def dataset(self) -> "ds.Dataset":
        """Returns the table as an Arrow dataset, for readers in this process that select columns."""
        import pyarrow.dataset as ds  # imports pandas where it is installed, which fetch workers do not need

        if not self.names:
            return ds.dataset(self.schema.empty_table())
        fs, base = handle(self.store.url)
        paths = [f"{base.rstrip('/')}/{name}" for name in self.names]
        return ds.dataset(paths, schema=self.schema, filesystem=fs, format="parquet")

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """Yields the rows of one object, read through the store, which retries failed requests.

        An object of a remote store whose size is known to be at most SINGLE_READ is read whole, by one request.
        """
        with self._opened(name) as file:
            parquet = pq.ParquetFile(file)
            there = set(parquet.schema_arrow.names)
            columns = [column for column in self.schema.names if column in there]
            for batch in parquet.iter_batches(TABLE_ROWS, columns=columns, use_threads=False):
                arrays = [
                    batch[field.name].cast(field.type) if field.name in there else pa.nulls(len(batch), field.type)
                    for field in self.schema
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    @contextmanager
    def _opened(self, name: str) -> "Iterator[BinaryIO | pa.BufferReader]":
        size = self._sizes.get(name)
        if self.store.root is None and size is not None and size <= SINGLE_READ:
            yield pa.BufferReader(self.store.read_range(name, 0, size, size))
        else:
            with self.store.open(name) as file:
                yield file


@dataclass(frozen=True)
class GeneratedTable:
    """A table that is generated item by item: `make(item)` yields its rows in batches of `schema`.

    Items and function are pickled, so the function is defined in a module (or is a `functools.partial` of one). It may
    be called more than once for an item, on any machine of a cluster, and must yield the same rows each time.
    """

    schema: pa.Schema
    items: Sequence[Any]
    make: Callable[[Any], Iterator[pa.RecordBatch]]


TableSource: TypeAlias = "pa.Table | ds.Dataset | Parquet | GeneratedTable"


class Engine(Protocol):
    """An SQL engine that works out of core on tables that it is shown. SQL itself neither reads nor writes files.

    Statements are named after their files and written in the dialect of the embedded engine, inside the subset in which
    others give the same answer. `dialect.py` refuses the rest; in short:

    * integers (BIGINT, INTEGER), strings, booleans and lists that UNNEST opens; no float, no decimal, no date;
    * `+ - *`, comparisons, AND OR NOT, CASE, COALESCE, LEAST, GREATEST, IN, BETWEEN, EXISTS, `||`; no `/`, `//`, `%`;
    * bits of BIGINT: `&`, `|`, `~`, `xor(a, b)`, `a >> n` with n written out or a parameter (a CAST to BIGINT where n may be
      above 31), `CAST(bit_count(a) AS INTEGER)`; no `^` (it is a power) and no `<<`;
    * COUNT, COUNT(DISTINCT), MIN, MAX, and `CAST(SUM(CAST(x AS BIGINT)) AS BIGINT)`; no ORDER BY inside an aggregate, no lists
      made by aggregates;
    * windows that have an ORDER BY: FIRST_VALUE, MIN, MAX, COUNT, `CAST(ROW_NUMBER() OVER (...) AS BIGINT)`; QUALIFY only where
      every column of the result has a name;
    * `UNNEST(column) AS name` as one of the selected columns, without ordinality; CARDINALITY, compared or cast;
    * joins of every kind, subqueries, WITH, UNION ALL; no SELECT *, no position in place of a name;
    * LIMIT only after an ORDER BY. A result whose order matters is ordered by columns that make it total: nulls come last
      ascending and descending, strings go by their bytes.

    `$name` is a parameter. Columns of a result have the same types on every engine, if each is a column of a table, a CAST,
    a COUNT or text.
    """

    @property
    def here(self) -> bool:
        """Whether the engine reads local files of this machine; else bound tables must be in a store, or be generated."""

    def bind(self, name: str, source: TableSource) -> None:
        """Makes Arrow data visible to statements as the table `name`. Statements read it when they run, perhaps repeatedly."""

    def bind_once(self, name: str, source: TableSource) -> None:
        """Binds data that several statements read, so that each object of a store is read once: DuckDB copies objects
        of a remote store to its scratch space, Spark keeps the rows beside its executors."""

    def readable(self, source: Parquet) -> Parquet:
        """Returns the table that tasks of `each` should read: the copy of `bind_once` where there is one, which this
        makes where it is missing, else the objects in their store."""

    def keep(self, name: str, statement: str, **params: Param) -> None:
        """Runs a statement and stores its result as the table `name` in the engine's scratch space."""

    def run(self, statement: str, **params: Param) -> pa.RecordBatchReader:
        """Runs a statement and returns its result in batches, which must be drained before the next statement runs."""

    def save(
        self, statement: str, schema: pa.Schema, store: Store, name_of: Callable[[int], str], **params: Param
    ) -> list[str]:
        """Runs a statement and puts its result, as Parquet of `schema`, into the store; returns the objects' names.

        `name_of` (picklable) names the objects by number; which numbers there are, and the order of rows, differs by
        engine. Rows do not pass through this process where the engine has executors.
        """

    def save_divided(
        self, statement: str, schema: pa.Schema, store: Store, name_of: Callable[[int], str], size: int, **params: Param
    ) -> list[int]:
        """Like `save`, for a result with the columns part and row_id: rows with part // size = n are the object
        `name_of(n)`, in order of (part, row_id), in row groups of DIVIDED_ROW_GROUP. Returns the n that have rows."""

    def each(
        self, work: Callable[[T, Path], Work], tasks: Sequence[T], report: Callable[[dict[str, int]], None], what: str
    ) -> list[bytes]:
        """Runs `work(task, folder)` on each task, several at once, and returns the results in task order.

        `folder` is a local scratch folder. `work` and tasks are pickled where the engine has executors, and a task may
        run more than once, even concurrently. `report` receives the counts that `work` returns beside its result, as
        tasks end. `what` is for error messages.
        """

    def close(self) -> None:
        """Frees the scratch space."""


def statement_text(name: str) -> str:
    """Returns the text of `ingest/engines/sql/<name>.sql`."""
    return resources.files("tagmill.ingest.engines.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")


def parquet_of(store: Store, names: Sequence[str], schema: pa.Schema, sizes: Sequence[int] = ()) -> Parquet:
    """Returns Parquet objects of a store as one table, see `Parquet`."""
    return Parquet(store, tuple(names), schema, tuple(sizes))


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Returns a result's schema without the parts in which engines differ: names of list items, nullability, metadata."""
    return pa.schema([(field.name, _plain(field.type)) for field in schema])


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.list_(_plain(kind.value_type)) if pa.types.is_list(kind) else kind
