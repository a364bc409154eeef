"""Tests tables that the processes of a machine share: made once, mapped by all, never half-written."""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.formats.shared_tables import (
    KEPT_SECONDS,
    SHARED_BYTES,
    TABLES_FOLDER,
    parquet_batches,
    row_of,
    shared_object,
    shared_table,
)
from tagmill.shards.storage.marked_folder import MARKER

SCHEMA = pa.schema([pa.field("number", pa.int64(), nullable=False)])
MANY = SHARED_BYTES // 8 + 1000
OTHERS = multiprocessing.get_context("forkserver")


def numbers(count: int, piece: int = 1 << 17) -> Iterator[pa.RecordBatch]:
    for start in range(0, count, piece):
        yield pa.record_batch([pa.array(np.arange(start, min(count, start + piece)))], schema=SCHEMA)


def making(count: int, made: list[int]) -> Callable[[], Iterator[pa.RecordBatch]]:
    def make() -> Iterator[pa.RecordBatch]:
        made.append(count)
        return numbers(count)

    return make


def left_in(folder: Path) -> set[str]:
    """Returns the names in the folder of tables, which must be the only content."""
    assert [path.name for path in folder.iterdir()] == [TABLES_FOLDER]
    return {path.name for path in (folder / TABLES_FOLDER).iterdir()} - {MARKER}


def test_a_large_table_is_made_once_and_then_mapped(tmp_path: Path) -> None:
    made: list[int] = []
    folder = tmp_path / "a" / "cache"
    before = pa.total_allocated_bytes()
    tables = [shared_table(folder, "big", SCHEMA, making(MANY, made)) for _ in range(3)]
    assert made == [MANY]
    assert left_in(folder) == {"big.arrow"}
    assert all(np.array_equal(table["number"].to_numpy(), np.arange(MANY)) for table in tables)
    assert pa.total_allocated_bytes() - before < SHARED_BYTES / 2  # its columns are in the file
    assert row_of(tables[2], MANY - 1) == {"number": MANY - 1}


def test_a_small_table_and_one_without_a_folder_leave_no_file(tmp_path: Path) -> None:
    made: list[int] = []
    assert len(shared_table(tmp_path, "small", SCHEMA, making(1000, made))) == 1000
    assert len(shared_table(None, "big", SCHEMA, making(MANY, made))) == MANY
    assert len(shared_table(tmp_path, "empty", SCHEMA, making(0, made))) == 0
    assert made == [1000, MANY, 0] and left_in(tmp_path) == set()


@pytest.mark.parametrize("damage", ["cut", "empty", "other schema"])
def test_a_file_that_is_not_the_table_is_made_again(tmp_path: Path, damage: str) -> None:
    made: list[int] = []
    shared_table(tmp_path, "big", SCHEMA, making(MANY, made))
    path = tmp_path / TABLES_FOLDER / "big.arrow"
    if damage == "other schema":
        schema = pa.schema([pa.field("letter", pa.string())])
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            writer.write_table(pa.table({"letter": ["a"]}, schema))
    else:
        path.write_bytes(path.read_bytes()[: -1000 if damage == "cut" else 0])
    assert len(shared_table(tmp_path, "big", SCHEMA, making(MANY, made))) == MANY
    assert made == [MANY, MANY]


def test_a_failed_maker_leaves_nothing_and_raises_its_error(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from numbers(MANY)
        raise OSError("the store is gone")

    with pytest.raises(OSError, match="the store is gone"):
        shared_table(tmp_path, "big", SCHEMA, broken)
    assert left_in(tmp_path) == set()


def test_an_unwritable_folder_only_costs_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        assert len(shared_table(tmp_path / "file" / "cache", "big", SCHEMA, making(MANY, []))) == MANY
    assert "every process keeps its own" in caplog.text


def test_tables_that_are_no_longer_opened_are_deleted(tmp_path: Path) -> None:
    for name in ("old", "used", "unused"):
        shared_table(tmp_path, name, SCHEMA, making(MANY, []))
        long_ago = time.time() - KEPT_SECONDS - 60
        os.utime(tmp_path / TABLES_FOLDER / f"{name}.arrow", (long_ago, long_ago))
        if name == "used":
            shared_table(tmp_path, name, SCHEMA, making(MANY, []))
    shared_table(tmp_path, "new", SCHEMA, making(MANY, []))
    assert left_in(tmp_path) == {"used.arrow", "new.arrow"}


def test_foreign_tables_are_not_touched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`plan_cache` may be a folder with other Arrow files; a foreign file instead of the folder of tables is not used."""
    (tmp_path / "data-00000-of-00001.arrow").write_text("precious")
    os.utime(tmp_path / "data-00000-of-00001.arrow", (0, 0))
    for name in ("one", "another"):
        assert len(shared_table(tmp_path, name, SCHEMA, making(MANY, []))) == MANY
    assert {path.name for path in tmp_path.iterdir()} == {"data-00000-of-00001.arrow", TABLES_FOLDER}
    other = tmp_path / "other"
    (other / TABLES_FOLDER).mkdir(parents=True)
    (other / TABLES_FOLDER / "data.arrow").write_text("precious")
    for name in ("one", "another"):
        assert len(shared_table(other, name, SCHEMA, making(MANY, []))) == MANY
    assert [path.name for path in (other / TABLES_FOLDER).iterdir()] == ["data.arrow"]
    assert caplog.text.count("every process keeps its own") == 1


def slow(folder: str, said: str) -> None:
    """Begins to write, reports it and never finishes."""

    def make() -> Iterator[pa.RecordBatch]:
        yield from numbers(MANY)
        Path(said).touch()
        time.sleep(600)

    shared_table(Path(folder), "big", SCHEMA, make)


def one_of_many(folder: str) -> None:
    def make() -> Iterator[pa.RecordBatch]:
        (Path(folder).parent / f"made-{os.getpid()}").touch()
        yield from numbers(MANY)

    assert len(shared_table(Path(folder), "big", SCHEMA, make)) == MANY


def test_a_killed_writer_leaves_nothing_half_written(tmp_path: Path) -> None:
    said, folder = tmp_path / "said", tmp_path / "cache"
    writer = OTHERS.Process(target=slow, args=(str(folder), str(said)))
    writer.start()
    deadline = time.monotonic() + 60
    while not said.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    made: list[int] = []
    table = shared_table(folder, "big", SCHEMA, making(MANY, made), timeout_seconds=0.1)
    assert len(table) == MANY and made == [MANY]  # a wait has a limit
    assert "big.arrow" not in left_in(folder)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert len(shared_table(folder, "big", SCHEMA, making(MANY, made))) == MANY
    assert left_in(folder) == {"big.arrow"}


def test_simultaneous_processes_make_it_once(tmp_path: Path) -> None:
    ranks = [OTHERS.Process(target=one_of_many, args=(str(tmp_path / "cache"),)) for _ in range(3)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    assert [rank.exitcode for rank in ranks] == [0, 0, 0]
    assert len(list(tmp_path.glob("made-*"))) == 1


def test_a_parquet_file_in_batches(tmp_path: Path) -> None:
    table = pa.table({"number": np.arange(40_000, dtype=np.int32)})
    pq.write_table(table, tmp_path / "a.parquet")
    batches = list(parquet_batches((tmp_path / "a.parquet").read_bytes(), SCHEMA))
    assert len(batches) > 1
    assert pa.Table.from_batches(batches, SCHEMA)["number"].to_pylist() == list(range(40_000))


def test_a_small_object_is_fetched_once(tmp_path: Path) -> None:
    fetched: list[None] = []

    def fetch() -> bytes:
        fetched.append(None)
        return b"content"

    name = sha256_hex(b"content")
    for _ in range(3):
        assert shared_object(tmp_path / "cache", name, fetch) == b"content"
    assert len(fetched) == 1 and left_in(tmp_path / "cache") == {f"{name}.object"}
    for _ in range(2):
        assert shared_object(None, name, fetch) == b"content"
    assert len(fetched) == 3


@pytest.mark.parametrize("damage", [b"", b"conten", b"altered"])
def test_a_damaged_copy_is_fetched_again(tmp_path: Path, damage: bytes) -> None:
    name = sha256_hex(b"content")
    shared_object(tmp_path, name, lambda: b"content")
    (tmp_path / TABLES_FOLDER / f"{name}.object").write_bytes(damage)
    assert shared_object(tmp_path, name, lambda: b"content") == b"content"
    assert shared_object(tmp_path, name, lambda: pytest.fail("fetched again")) == b"content"


def test_a_failed_fetch_leaves_nothing_and_raises_its_error(tmp_path: Path) -> None:
    def fetch() -> bytes:
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError, match="gone"):
        shared_object(tmp_path / "cache", "0" * 64, fetch)
    assert not (tmp_path / "cache").exists()


def test_an_unwritable_folder_only_costs_a_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    for _ in range(2):
        assert shared_object(tmp_path / "file" / "cache", sha256_hex(b"content"), lambda: b"content") == b"content"
    assert caplog.text.count("cannot share") == 1


def test_objects_that_are_no_longer_read_are_deleted(tmp_path: Path) -> None:
    for content in (b"old", b"kept"):
        shared_object(tmp_path, sha256_hex(content), lambda content=content: content)  # type: ignore[misc]
    old = tmp_path / TABLES_FOLDER / f"{sha256_hex(b'old')}.object"
    os.utime(old, (0, time.time() - KEPT_SECONDS - 60))
    shared_object(tmp_path, sha256_hex(b"new"), lambda: b"new")
    assert left_in(tmp_path) == {f"{sha256_hex(content)}.object" for content in (b"kept", b"new")}
