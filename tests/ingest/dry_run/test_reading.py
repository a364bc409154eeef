"""What is read of an input, and how many rows the whole is taken to have."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dry_run import reading
from tagmill.ingest.dry_run.reading import RowsRead, read_rows
from tagmill.ingest.sources import list_part
from tagmill.shards.errors import InputError
from tests.ingest.tarmaker import tar


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_part, "STRETCH_LENGTH", 1000)
    monkeypatch.setattr(list_part, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(reading, "EXAMINED_ROWS", 200)
    monkeypatch.setattr(reading, "EXAMINED_INPUTS", 4)


def lists(folder: Path, files: int, rows: int) -> None:
    for file in range(files):
        lines = [json.dumps({"url": f"http://h/{file:03d}/{row:05d}", "tags": ["a"]}) for row in range(rows)]
        (folder / f"{file:03d}.jsonl").write_text("\n".join(lines) + "\n")


def read(folder: Path | str, **settings: Any) -> RowsRead:
    return read_rows(IngestConfig(input=(str(folder),), output="out", **settings))


def test_a_small_list_is_read_whole(tmp_path: Path) -> None:
    lists(tmp_path, 2, 10)
    found = read(tmp_path)
    assert (found.total, found.exact, len(found.rows), found.share) == (20, True, 20, 1.0)


def test_a_large_input_is_read_in_parts_and_its_rows_estimated(tmp_path: Path) -> None:
    lists(tmp_path, 10, 1000)
    found = read(tmp_path)
    assert found.total == pytest.approx(10_000, rel=0.05) and not found.exact
    assert (found.inputs, found.inputs_read) == (10, 4) and len(found.rows) < 1000
    assert {url[9:12] for url in found.rows["url"].to_pylist()} == {"000", "002", "005", "007"}


def test_under_a_limit_the_first_rows_are_read(tmp_path: Path) -> None:
    lists(tmp_path, 3, 1000)
    found = read(tmp_path, limit=150)
    assert (found.total, found.exact, len(found.rows)) == (150, True, 150)
    found = read(tmp_path, limit=1500)
    assert (found.total, len(found.rows), found.at_least) == (1500, 200, False)
    assert found.rows["url"][-1].as_py() == "http://h/000/00199"
    assert read(tmp_path, limit=1 << 40).total == pytest.approx(3000, rel=0.05)


def test_rows_of_tars_are_estimated_by_their_bytes(tmp_path: Path) -> None:
    for number in range(5):
        tar(tmp_path / f"{number}.tar", [(f"{row:03d}.jpg", bytes(600)) for row in range(100)])
    found = read(f"{tmp_path}/*.tar")
    assert len(found.rows) == 200 and found.total == pytest.approx(500, rel=0.1) and not found.exact


def test_rows_of_a_large_folder_are_a_lower_bound(tmp_path: Path) -> None:
    for number in range(210):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")
    found = read(tmp_path)
    assert (found.total, found.at_least, found.exact) == (200, True, False)


def test_a_list_whose_lines_cannot_be_read_alone_is_read_from_its_beginning(tmp_path: Path) -> None:
    rows = [f'http://h/{row},"a\n,,,,b"' for row in range(1000)]
    (tmp_path / "a.csv").write_text("url,tags\n" + "\n".join(rows) + "\n")
    found = read(tmp_path)
    assert found.rows["url"].to_pylist()[:3] == ["http://h/0", "http://h/1", "http://h/2"]
    assert "lines further down could not be read alone" in found.warnings[0] and "a.csv" in found.warnings[0]
    assert found.total >= 200


def test_a_list_that_a_run_refuses_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("no JSON\n" * 500)
    with pytest.raises(InputError, match="line 1 is not JSON"):
        read(tmp_path)
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(InputError, match="the list is empty"):
        read(tmp_path)


def test_rows_of_parquet_with_images_are_counted_by_footers(tmp_path: Path) -> None:
    images = [{"bytes": b"x", "path": None}] * 150
    for number in range(5):
        pq.write_table(pa.table({"image": images, "label": ["cat"] * 150}), tmp_path / f"{number}.parquet")
    found = read(tmp_path, preset="huggingface")
    assert (found.total, len(found.rows), found.exact, found.at_least) == (750, 200, False, False)
    assert read(tmp_path, preset="huggingface", limit=600).total == 600
