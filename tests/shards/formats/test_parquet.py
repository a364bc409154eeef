"""Tests tables as bytes: round trips, reproducibility, and no remaining thread."""

import subprocess
import sys

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.formats.parquet import read_table, table_bytes

SCHEMA = pa.schema(
    [pa.field("name", pa.string()), pa.field("count", pa.int64()), pa.field("tags", pa.list_(pa.string()))]
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROW = st.fixed_dictionaries(
    {
        "name": st.none() | WORDS,
        "count": st.integers(-(1 << 63), (1 << 63) - 1),
        "tags": st.lists(WORDS, max_size=3),
    }
)


@given(st.lists(ROW, max_size=20))
def test_rows_survive_and_equal_rows_give_equal_bytes(rows: list[dict[str, object]]) -> None:
    data = table_bytes(rows, SCHEMA)
    assert read_table(data).cast(SCHEMA).to_pylist() == rows
    assert read_table(data, ["count"]).to_pylist() == [{"count": row["count"]} for row in rows]
    assert table_bytes(rows, SCHEMA) == data


def test_reading_starts_no_thread() -> None:
    """A thread that still holds a Python object when the interpreter exits aborts the process."""
    code = (
        "import os, pyarrow as pa\n"
        "from tagmill.shards.formats.parquet import read_table, table_bytes\n"
        "data = table_bytes([{str(i): i for i in range(40)}] * 1000, pa.schema([(str(i), pa.int64()) for i in range(40)]))\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "read_table(data)\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
