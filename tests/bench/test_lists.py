"""Tests that the benchmark of long lists runs at a small size: all rows are partitioned, a part is made, the peak is
reported."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tagmill.bench import lists, measure


def test_a_made_list_has_its_rows(tmp_path: Path) -> None:
    table = pq.read_table(lists.make(tmp_path / "list.parquet", lists.BLOCK + 3))
    assert len(table) == lists.BLOCK + 3 == len(set(table["url"].to_pylist()))


@pytest.mark.parametrize(("text", "size"), [("500MB", 500_000_000), ("2GB", 2_000_000_000), ("1.5KB", 1500), ("7B", 7)])
def test_sizes(text: str, size: int) -> None:
    assert lists.size_of(text) == size


def test_it_partitions_all_rows_and_makes_a_part(tmp_path: Path) -> None:
    command = [sys.executable, str(measure.ROOT / "bench" / "lists.py"), "--rows", "1500", "--folder", str(tmp_path)]
    command += ["--rows-per-part", "1000", "--out", str(tmp_path / "out.json")]
    subprocess.run(command, check=True, capture_output=True)
    case = json.loads((tmp_path / "out.json").read_text())["cases"]["1,500 rows"]
    assert (case["rows"], case["parts"]) == (1_500, 2) and 600 < case["part_ok"] < 900
    assert case["peak_memory_bytes"] > 50_000_000 and case["median"] > 0
