"""The embedded engine: DuckDB in this process, out of core within a memory limit. Only this file imports duckdb."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tagmill.ingest.engines.engine import (
    DIVIDED_ROW_GROUP,
    GeneratedTable,
    Param,
    Parquet,
    TableSource,
    Work,
    plain_schema,
    statement_text,
)
from tagmill.ingest.engines.table_files import TableFiles, write_divisions
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.storage.store import Store
from tagmill.shards.storage.threads import DaemonPool

T = TypeVar("T")
_BATCH_ROWS = 1 << 16


class DuckDB:
    """See `Engine`. Files are read through Arrow only: DuckDB loads no extension and downloads nothing."""

    def __init__(self, scratch: Path, *, memory_limit: str, threads: int) -> None:
        """`scratch` is a folder on a local disk for intermediate tables; `close` deletes it.

        Raises ConfigError where `memory_limit` is not a size that DuckDB understands.
        """
        self._scratch, self._threads = scratch, threads
        self._copies: dict[tuple[str, tuple[str, ...]], Parquet] = {}
        shutil.rmtree(scratch, ignore_errors=True)  # left over from a killed run
        scratch.mkdir(parents=True)
        try:
            self._connection = duckdb.connect(
                str(scratch / "tables.duckdb"),
                config={
                    "memory_limit": memory_limit,
                    "threads": threads,
                    "temp_directory": str(scratch / "spill"),
                    "preserve_insertion_order": False,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                    "python_enable_replacements": False,
                },
            )
        except duckdb.Error as error:
            where = f"memory_limit {memory_limit}, spool {scratch}"
            remedy = "give --memory-limit 2GB, or a --spool that can be written to"
            raise ConfigError(f"the engine does not start: {error}", where, remedy) from error
        self._connection.execute("SET TimeZone = 'UTC'")  # the zone of times in results; the default is the machine's

    here = True

    def bind(self, name: str, source: TableSource) -> None:
        if isinstance(source, GeneratedTable):
            source = self._generated(name, source)
        self._connection.register(name, source.dataset() if isinstance(source, Parquet) else source)

    def keep(self, name: str, statement: str, **params: Param) -> None:
        with self._errors_explained(statement):
            self._connection.execute(f"CREATE OR REPLACE TABLE {name} AS {statement_text(statement)}", params or None)

    def run(self, statement: str, **params: Param) -> pa.RecordBatchReader:
        return self._run(statement, statement_text(statement), params)

    def _run(self, statement: str, text: str, params: dict[str, Param]) -> pa.RecordBatchReader:
        with self._errors_explained(statement):
            relation = self._connection.sql(text, params=params or None)
            reader = relation.to_arrow_reader(_BATCH_ROWS)
        schema = plain_schema(reader.schema)
        return pa.RecordBatchReader.from_batches(schema, self._batches(statement, reader, schema))

    def bind_once(self, name: str, source: TableSource) -> None:
        self.bind(name, self.readable(source) if isinstance(source, Parquet) else source)

    def readable(self, source: Parquet) -> Parquet:
        if source.store.root is not None:
            return source
        where = (source.store.url, source.names)
        if where not in self._copies:
            with self._full_disk_explained(self._scratch):
                self._copies[where] = source.copied(self._scratch / f"copies-{len(self._copies):03d}")
        return replace(source, store=self._copies[where].store)

    def save(
        self, statement: str, schema: pa.Schema, store: Store, name_of: Callable[[int], str], **params: Param
    ) -> list[str]:
        folder = self._scratch / "saved"
        with self._full_disk_explained(folder), TableFiles(folder, statement, schema) as files:
            for batch in self.run(statement, **params):
                files.write(batch.cast(schema))
        names = [name_of(number) for number in range(len(files.paths))]
        for name, path in zip(names, files.paths, strict=True):
            store.put(name, path, give=True)
        return names

    def save_divided(
        self, statement: str, schema: pa.Schema, store: Store, name_of: Callable[[int], str], size: int, **params: Param
    ) -> list[int]:
        text = f"SELECT * FROM ({statement_text(statement)}) ORDER BY part, row_id"
        batches = (batch.cast(schema) for batch in self._run(statement, text, params))
        put = lambda number, path: store.put(name_of(number), path, give=True)  # noqa: E731
        folder = self._scratch / "saved"
        with self._full_disk_explained(folder):
            folder.mkdir(exist_ok=True)
            return write_divisions(batches, schema, size, DIVIDED_ROW_GROUP, folder, put)

    def each(
        self, work: Callable[[T, Path], Work], tasks: Sequence[T], report: Callable[[dict[str, int]], None], what: str
    ) -> list[bytes]:
        del what
        with (
            tempfile.TemporaryDirectory(prefix="tasks-", dir=self._scratch, ignore_cleanup_errors=True) as folder,
            DaemonPool(self._threads, "tagmill-set-task") as pool,
        ):
            running = {pool.submit(partial(work, task, Path(folder))): number for number, task in enumerate(tasks)}
            results: dict[int, bytes] = {}
            for done in as_completed(running):
                results[running[done]], counts = done.result()
                report(dict(counts))
        return [results[number] for number in range(len(tasks))]

    def close(self) -> None:
        self._connection.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _generated(self, name: str, source: GeneratedTable) -> ds.Dataset:
        """Writes the table to disk once, because a statement may read it many times."""
        path = self._scratch / f"{name}.parquet"
        with self._full_disk_explained(path), pq.ParquetWriter(path, source.schema) as writer:
            for item in source.items:
                for batch in source.make(item):
                    writer.write_batch(batch)
        return ds.dataset(path, schema=source.schema)

    def _batches(self, statement: str, reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with self._errors_explained(statement):
            for batch in reader:
                yield batch.cast(schema)

    @staticmethod
    @contextmanager
    def _full_disk_explained(path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise TagmillError(f"cannot write here: {error}", path, "give a spool folder on a larger disk") from error

    @contextmanager
    def _errors_explained(self, statement: str) -> Iterator[None]:
        """Turns lack of memory or disk into a TagmillError with a remedy; a mistake in our SQL stays a DuckDB error."""
        try:
            yield
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            remedy = "raise memory_limit, or give a spool folder on a larger disk"
            raise TagmillError(f"set operations ran out of space: {error}", f"statement {statement}", remedy) from error
