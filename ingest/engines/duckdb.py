"""The embedded engine: DuckDB in this process, out of core within a memory limit. Only this file imports duckdb."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tagmill.ingest.engines.engine import GeneratedTable, Param, Parquet, TableSource, plain_schema, statement_text
from tagmill.shards.errors import ConfigError, TagmillError

_BATCH_ROWS = 1 << 16


class DuckDB:
    """See `Engine`. Files are read through Arrow only: DuckDB loads no extension and downloads nothing."""

    def __init__(self, scratch: Path, *, memory_limit: str, threads: int) -> None:
        """`scratch` is a folder on a local disk for intermediate tables; `close` deletes it.

        Raises ConfigError where `memory_limit` is not a size that DuckDB understands.
        """
        self._scratch = scratch
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
        with self._errors_explained(statement):
            relation = self._connection.sql(statement_text(statement), params=params or None)
            reader = relation.to_arrow_reader(_BATCH_ROWS)
        schema = plain_schema(reader.schema)
        return pa.RecordBatchReader.from_batches(schema, self._batches(statement, reader, schema))

    def close(self) -> None:
        self._connection.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _generated(self, name: str, source: GeneratedTable) -> ds.Dataset:
        """Writes the table to disk once, because a statement may read it many times."""
        path = self._scratch / f"{name}.parquet"
        try:
            with pq.ParquetWriter(path, source.schema) as writer:
                for item in source.items:
                    for batch in source.make(item):
                        writer.write_batch(batch)
        except OSError as error:
            raise TagmillError(f"cannot write here: {error}", path, "give a spool folder on a larger disk") from error
        return ds.dataset(path, schema=source.schema)

    def _batches(self, statement: str, reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with self._errors_explained(statement):
            for batch in reader:
                yield batch.cast(schema)

    @contextmanager
    def _errors_explained(self, statement: str) -> Iterator[None]:
        """Turns lack of memory or disk into a TagmillError with a remedy; a mistake in our SQL stays a DuckDB error."""
        try:
            yield
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            remedy = "raise memory_limit, or give a spool folder on a larger disk"
            raise TagmillError(f"set operations ran out of space: {error}", f"statement {statement}", remedy) from error
