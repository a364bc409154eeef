"""Parts of lists: whole rows of the list, from all over it, and how large the list is."""

import bz2
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.sources import list_part
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.inputs import inputs
from tagmill.ingest.sources.list_part import ListPart
from tagmill.ingest.sources.rows import rows_of_part
from tagmill.shards.errors import InputError


def write_json(path: Path, urls: list[str]) -> None:
    path.write_text("".join(json.dumps({"url": url, "tags": "a", "n": 1}) + "\n" for url in urls))


def write_csv(path: Path, urls: list[str]) -> None:
    path.write_text("url,tags,n\n" + "".join(f'{url},"a, b",1\n' for url in urls))


def write_parquet(path: Path, urls: list[str]) -> None:
    table = pa.table({"url": urls, "tags": ["a"] * len(urls), "n": [1] * len(urls)})
    pq.write_table(table, path, row_group_size=max(1, len(urls) // 20))


def write_txt(path: Path, urls: list[str]) -> None:
    path.write_text("\n".join(urls))


WRITERS: dict[str, Callable[[Path, list[str]], None]] = {
    "jsonl": write_json,
    "csv": write_csv,
    "parquet": write_parquet,
    "txt": write_txt,
}


def read(path: Path, part: ListPart) -> list[str]:
    config = IngestConfig(input=(str(path),), output="out")
    (given,) = inputs(config)
    return [url for batch in rows_of_part(given, config, part, InputWarnings()) for url in batch["url"].to_pylist()]


@pytest.mark.parametrize("suffix", WRITERS)
@given(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=120), stretch=st.integers(30, 400))
@example(
    lengths=[0, 0, 0, 23, 0, 0, 57, 60, 60, 60], stretch=30
)  # the first stretch ends after the line of column names
@example(lengths=[0, 0, 0, 0, 0, 20, 60, 60, 60, 60], stretch=30)  # and so that no other stretch has a whole line
@settings(max_examples=25, deadline=None)
def test_a_part_has_whole_rows_in_order(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, lengths: list[int], stretch: int
) -> None:
    urls = [f"http://a/{number:04d}{'x' * length}" for number, length in enumerate(lengths)]
    path = tmp_path_factory.mktemp("part") / f"a.{suffix}"
    WRITERS[suffix](path, urls)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(list_part, "STRETCH_LENGTH", stretch)
        patch.setattr(list_part, "WHOLE_BYTES", 500)
        part = ListPart(10)
        found = read(path, part)
    assert found == sorted(set(found)) and set(found) <= set(urls) and found[0] == urls[0]
    if part.whole:
        assert found == urls
    assert sorted(part.columns) == ([] if suffix == "txt" else ["n", "tags", "url"])


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_part_is_from_all_over_the_list(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_part, "STRETCH_LENGTH", 1000)
    monkeypatch.setattr(list_part, "WHOLE_BYTES", 1000)
    urls = [f"http://a/{number:05d}" for number in range(4000)]
    WRITERS[suffix](tmp_path / f"a.{suffix}", urls)
    part = ListPart(240)
    found = [int(url.rpartition("/")[2]) for url in read(tmp_path / f"a.{suffix}", part)]
    assert not part.whole and len(found) < 600 and {number // 1000 for number in found} == {0, 1, 2, 3}
    total = part.num_rows or len(found) * part.size / part.bytes_read
    assert total == pytest.approx(4000, rel=0.05)


def test_the_beginning_of_a_compressed_list_is_read(tmp_path: Path) -> None:
    urls = [f"http://a/{number:05d}" for number in range(60_000)]
    (tmp_path / "a.txt.bz2").write_bytes(bz2.compress("\n".join(urls).encode()))
    part = ListPart(20_000)
    found = read(tmp_path / "a.txt.bz2", part)
    assert found == urls[: len(found)] and 20_000 <= len(found) < 60_000 and not part.whole
    assert read(tmp_path / "a.txt.bz2", whole := ListPart(1 << 30)) == urls and whole.whole


def test_lines_that_are_too_long_are_an_error_as_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_part, "STRETCH_LENGTH", 1 << 12)
    (tmp_path / "a.txt").write_text("x" * 3_000_000)
    with pytest.raises(InputError, match="line 1 has more than"):
        read(tmp_path / "a.txt", ListPart(10))


def test_a_part_of_parquet_is_not_read_by_whole_row_groups(tmp_path: Path) -> None:
    """The first rows of a row group of 30 MB take some pages of it."""
    urls = [f"http://a/{number:0300d}" for number in range(100_000)]
    table = pa.table({"url": urls, "tags": ["a"] * len(urls)})
    pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False, row_group_size=len(urls))
    before = pa.total_allocated_bytes()
    config = IngestConfig(input=(str(tmp_path / "a.parquet"),), output="out")
    part, (given,) = ListPart(1000), inputs(config)
    batches = rows_of_part(given, config, part, InputWarnings())
    assert len(next(batches)) == 1000 and part.num_rows == 100_000
    assert pa.total_allocated_bytes() - before < 8 << 20
