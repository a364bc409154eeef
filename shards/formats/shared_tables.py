"""Tables that the processes of a machine share: decoded by whoever comes first, memory-mapped by all.

The shard tables of a large corpus take hundreds of megabytes in memory, and every rank of a node needs a few lines of them.
A shared table is named by the digests of what it was made from, so it is never stale and whoever finds it reads nothing else.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards.storage.marked_folder import claim

log = logging.getLogger(__name__)

TABLES_FOLDER = "tagmill-tables"  # our folder inside the one that was given, where others may keep tables of theirs
SHARED_BYTES = 1 << 16  # a smaller table is made sooner than it is waited for
ROWS = 1 << 14  # of a Parquet file that are decoded at a time, so that its maker's memory stays small too
PATIENCE_SECONDS = 60.0  # for another process that is making the table
KEPT_SECONDS = 30 * 86400.0  # a table that nobody opened for so long is deleted when another is made

_WARNED_OF: set[Path] = set()  # folders that cannot be used: a process says so once for each


def parquet_batches(data: bytes, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The columns of `schema`, in its types, of a Parquet file's rows: a piece at a time, by this thread alone (see
    `tables.read_table`)."""
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
    for batch in file.iter_batches(ROWS, columns=schema.names, use_threads=False):
        yield batch.select(schema.names).cast(schema)


def shared_table(
    folder: Path | None,
    name: str,
    schema: pa.Schema,
    make: Callable[[], Iterable[pa.RecordBatch]],
    patience_seconds: float = PATIENCE_SECONDS,
) -> pa.Table:
    """The table `name`: mapped from OWN inside `folder`, or made, and left there for others if it has SHARED_BYTES or more.

    `name` must say all that the table is a function of. Where there is no folder, it cannot be written, or another process
    keeps making the table for longer than the patience, the table is made in this process's own memory.
    """
    if folder is None:
        return pa.Table.from_batches(make(), schema)
    folder = folder / TABLES_FOLDER
    path = folder / f"{name}.arrow"
    if (found := _mapped(path, schema)) is not None:
        return found
    try:
        claim(folder, mode=0o700)
        with _alone(folder / f".{name}.lock", patience_seconds) as alone:
            if (found := _mapped(path, schema)) is not None:
                return found
            if alone:
                return _made(path, schema, make())
    except OSError as error:
        # Where it was the making that failed, and not the folder, making it again says so.
        _warn_once(folder, error)
    return pa.Table.from_batches(make(), schema)


def row_of(table: pa.Table, number: int) -> dict[str, Any]:
    """One row as plain values."""
    row: dict[str, Any] = table.slice(number, 1).to_pylist()[0]
    return row


def _mapped(path: Path, schema: pa.Schema) -> pa.Table | None:
    """The table in a file, which stays on disk; None where there is none, or not a whole one of this schema."""
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
    """Writes a large table under its name, whole or not at all, and maps it; a small one stays in memory."""
    first, size, rest = list[pa.RecordBatch](), 0, iter(batches)
    for batch in rest:
        first.append(batch)
        size += batch.nbytes
        if size >= SHARED_BYTES:
            break
    else:
        return pa.Table.from_batches(first, schema)
    _delete_old(path.parent)
    part = path.with_name(f".{path.name}.part")  # one name: a killed writer's is written over by the next
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
    for old in folder.glob("*.arrow"):
        if time.time() - old.stat().st_mtime > KEPT_SECONDS:
            old.unlink(missing_ok=True)


@contextmanager
def _alone(path: Path, patience_seconds: float) -> Iterator[bool]:
    """Whether this process got the lock, which the system takes back from one that dies. Nothing is left behind."""
    deadline = time.monotonic() + patience_seconds
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
        return os.fstat(file).st_ino == path.stat().st_ino  # else it was the lock of one that has just finished
    except (BlockingIOError, FileNotFoundError):
        return False
