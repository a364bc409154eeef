"""Tables in files: rows keep their order, row groups and files are bounded, divisions are cut at their parts."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.engines.table_files import TableFiles, TableWriter, write_divisions

SCHEMA = pa.schema([("part", pa.int32()), ("a", pa.int64())])
SIZES = st.lists(st.integers(0, 30), max_size=12)


def batches(parts: list[int], sizes: list[int]) -> Iterator[pa.RecordBatch]:
    """Cuts rows, with the numbers of their places, into batches of these sizes and one of the rest."""
    start = 0
    for size in [*sizes, len(parts)]:
        some = parts[start : start + size]
        yield pa.record_batch([pa.array(some, pa.int32()), pa.array(range(start, start + len(some)))], schema=SCHEMA)
        start += len(some)


def whole(paths: list[Path]) -> list[int]:
    return [value for path in paths for value in pq.read_table(path)["a"].to_pylist()]


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, rows=st.integers(0, 150), row_group=st.integers(1, 20))
def test_row_groups_are_bounded_whatever_the_batches(sizes: list[int], rows: int, row_group: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with TableWriter(Path(folder, "t"), SCHEMA, row_group) as writer:
            for batch in batches([0] * rows, sizes):
                writer.write(batch)
        assert writer.rows == rows and whole([writer.path]) == list(range(rows))
        metadata = pq.ParquetFile(writer.path).metadata
        found = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        assert all(size < 2 * row_group for size in found)
        assert sum(size < row_group for size in found) <= 1 + len([size for size in sizes if size >= row_group])


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, rows=st.integers(0, 150), file_rows=st.integers(1, 60))
def test_a_table_has_as_many_files_as_it_needs(sizes: list[int], rows: int, file_rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with TableFiles(Path(folder, "new"), "t", SCHEMA, file_rows) as files:
            for batch in batches([0] * rows, sizes):
                files.write(batch)
        assert files.rows == rows and whole(files.paths) == list(range(rows))
        assert [path.name for path in files.paths] == [f"t-{number:06d}.parquet" for number in range(len(files.paths))]
        of_each = [pq.ParquetFile(path).metadata.num_rows for path in files.paths]
        assert all(count >= file_rows for count in of_each[:-1]) and all(of_each)


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(st.integers(0, 20), max_size=120).map(sorted), sizes=SIZES, size=st.integers(1, 7))
def test_divisions_are_cut_where_their_parts_begin(parts: list[int], sizes: list[int], size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found: dict[int, list[int]] = {}

        def put(number: int, path: Path) -> None:
            found[number] = whole([path])
            path.unlink()

        numbers = write_divisions(batches(parts, sizes), SCHEMA, size, 8, Path(folder), put)
        assert numbers == list(found) == sorted({part // size for part in parts})
        for number, rows in found.items():
            assert rows == [row for row, part in enumerate(parts) if part // size == number]


def test_what_fails_puts_no_half_file(tmp_path: Path) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield from batches([0, 0, 3, 3], [])
        raise OSError("no more")

    put: list[int] = []
    with pytest.raises(OSError, match="no more"):
        write_divisions(failing(), SCHEMA, 1, 8, tmp_path, lambda number, path: put.append(number))
    assert put == [0] and {path.name for path in tmp_path.iterdir()} == {"division-000000.parquet"}
