"""Tables that the processes of a machine share: the first process decodes a table, all map it into memory.

The shard tables of a large corpus take hundreds of megabytes in memory, and every rank of a node needs a few lines of
them. A shared table is named by the digests of its inputs, so it is never stale, and processes that find it read
nothing else.
"""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.storage.marked_folder import claim

log = logging.getLogger(__name__)

TABLES_FOLDER = "tagmill-tables"  # folder of shared tables inside the given one, which may hold other files
OBJECT_SUFFIX = ".object"  # of copies of small objects there
SHARED_BYTES = 1 << 16  # smaller tables are faster to make than to wait for
ROWS = 1 << 14  # rows of a Parquet file that are decoded at a time, to bound the memory
TABLE_TIMEOUT_SECONDS = 60.0  # for another process that is making the table
KEPT_SECONDS = 30 * 86400.0  # tables not opened for that long are deleted when another is made

_WARNED_OF: set[Path] = set()  # unusable folders for which this process has logged a warning


def parquet_batches(data: bytes, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a Parquet file with the columns and types of `schema`, in batches, read by the calling thread
    alone (see `parquet.read_table`). A nullable column that an older file lacks is null."""
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
    stored = set(file.schema_arrow.names)
    lacking = [field for field in schema if field.nullable and field.name not in stored]
    for batch in file.iter_batches(ROWS, columns=[name for name in schema.names if name in stored], use_threads=False):
        for field in lacking:
            batch = batch.append_column(field.name, pa.nulls(len(batch), field.type))
        yield batch.select(schema.names).cast(schema)


def shared_table(
    folder: Path | None,
    name: str,
    schema: pa.Schema,
    make: Callable[[], Iterable[pa.RecordBatch]],
    timeout_seconds: float = TABLE_TIMEOUT_SECONDS,
) -> pa.Table:
    """Returns the table `name`: mapped from TABLES_FOLDER inside `folder`, or made, and written there for other
    processes if it has SHARED_BYTES or more.

    `name` must identify all inputs of the table. Without a folder, if it is not writable, or if another process takes
    longer than the timeout to make the table, the table is made in this process's own memory.
    """
    if folder is None:
        return pa.Table.from_batches(make(), schema)
    folder = folder / TABLES_FOLDER
    path = folder / f"{name}.arrow"
    if (found := _mapped(path, schema)) is not None:
        return found
    try:
        claim(folder, mode=0o700)
        with _exclusive(folder / f".{name}.lock", timeout_seconds) as is_maker:
            if (found := _mapped(path, schema)) is not None:
                return found
            if is_maker:
                return _made(path, schema, make())
    except OSError as error:
        # If making the table failed, and not the folder, making it again raises that error.
        _warn_once(folder, error)
    return pa.Table.from_batches(make(), schema)


def shared_object(folder: Path | None, sha256: str, fetch: Callable[[], bytes]) -> bytes:
    """Returns the bytes of a small object with this sha256: of the copy in TABLES_FOLDER inside `folder`, or fetched, and
    copied there for other processes. Without a folder, or if it is not writable, every process fetches it."""
    if folder is None:
        return fetch()
    folder = folder / TABLES_FOLDER
    path = folder / f"{sha256}{OBJECT_SUFFIX}"
    try:
        data = path.read_bytes()
        if sha256_hex(data) == sha256:
            os.utime(path)
            return data
    except FileNotFoundError:
        pass
    except OSError as error:
        _warn_once(folder, error)
    data = fetch()
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        claim(folder, mode=0o700)
        _delete_old(folder)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        _warn_once(folder, error)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return data


def row_of(table: pa.Table, number: int) -> dict[str, Any]:
    """Returns one row as plain values."""
    row: dict[str, Any] = table.slice(number, 1).to_pylist()[0]
    return row


def _mapped(path: Path, schema: pa.Schema) -> pa.Table | None:
    """Maps the table in a file; returns None if there is none, or it is truncated or has another schema."""
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        os.utime(path)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    except OSError as error:
        _warn_once(path.parent, error)
        return None
    return table if table.schema.equals(schema) else None


def _made(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Writes a large table atomically under its name and maps it; a small one stays in memory."""
    first, size, rest = list[pa.RecordBatch](), 0, iter(batches)
    for batch in rest:
        first.append(batch)
        size += batch.nbytes
        if size >= SHARED_BYTES:
            break
    else:
        return pa.Table.from_batches(first, schema)
    _delete_old(path.parent)
    part = path.with_name(f".{path.name}.part")  # a constant name: the next writer overwrites what a killed one left
    try:
        with pa.OSFile(str(part), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for batch in chain(first, rest):
                writer.write_batch(batch)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    del first, batch
    pa.default_memory_pool().release_unused()
    found = _mapped(path, schema)
    if found is None:
        raise OSError(f"{path} cannot be read back")
    return found


def _warn_once(folder: Path, error: Exception) -> None:
    if folder not in _WARNED_OF:
        _WARNED_OF.add(folder)
        log.warning("cannot share tables in %s (%s): every process keeps its own", folder, error)


def _delete_old(folder: Path) -> None:
    for old in (*folder.glob("*.arrow"), *folder.glob(f"*{OBJECT_SUFFIX}"), *folder.glob(".*.part")):
        if time.time() - old.stat().st_mtime > KEPT_SECONDS:
            old.unlink(missing_ok=True)


@contextmanager
def _exclusive(path: Path, timeout_seconds: float) -> Iterator[bool]:
    """Yields whether this process got the lock, which the system releases if the process dies. Leaves no file behind."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        with path.open("wb") as file:
            if _locked(file.fileno(), path):
                try:
                    yield True
                finally:
                    path.unlink(missing_ok=True)
                return
        if time.monotonic() > deadline:
            yield False
            return
        time.sleep(0.02)


def _locked(file: int, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file).st_ino == path.stat().st_ino  # else the lock belonged to a process that has just finished
    except (BlockingIOError, FileNotFoundError):
        return False
