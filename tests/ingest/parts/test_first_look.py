"""The tags of the first thousand rows are checked once, before anything is fetched."""

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.labels.coverage import MAX_TAG_CHARS
from tagmill.ingest.labels.matching import MatchRules
from tagmill.ingest.parts.first_look import FIRST_ROWS, FirstLook, reading_of
from tagmill.ingest.sources.rows import rows
from tests.ingest.smallweb import picture


def config(path: Path, **flags: Any) -> IngestConfig:
    return IngestConfig(input=(str(path),), output=str(path.parent / "corpus"), **flags)


def look(config: IngestConfig, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is said about a list."""
    caplog.clear()
    with FirstLook(config, MatchRules()) as looking:
        for batch in rows(config):
            looking.see(batch)
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def listed(path: Path, tags: list[Any]) -> Path:
    table = pa.table({"url": [f"http://x.example/{n}.jpg" for n in range(len(tags))], "tags": tags})
    pq.write_table(table, path, row_group_size=300)
    return path


def test_a_list_that_is_split_by_the_wrong_separator(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = listed(tmp_path / "a.parquet", ["cat;sofa;instagood", "dog;beach"] * 2_000)
    (told,) = look(config(path), caplog)
    assert (
        told.startswith(f"of the first {FIRST_ROWS:,} rows, 0.0% of 1,000 tags led to a label")
        and "fetched yet" in told
    )
    assert "--tags-separator ';'" in told and "'cat;sofa;instagood' 500" in told
    assert look(config(path, tags_separator=";"), caplog) == []


def test_tags_that_look_like_several_tags_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (told,) = look(config(listed(tmp_path / "a.parquet", ["cat", "dog", "beach", "cat;dog"] * 50)), caplog)
    assert told.startswith("of the first 200 rows, 25.0% of 200 tags, such as 'cat;dog'") and "fetched yet" in told


def test_only_the_first_rows_count_and_a_short_list_is_looked_at_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert look(config(listed(tmp_path / "a.parquet", ["cat"] * FIRST_ROWS + ["xyzzy"] * 99_000)), caplog) == []
    assert len(look(config(listed(tmp_path / "b.parquet", ["xyzzy"] * FIRST_ROWS + ["cat"] * FIRST_ROWS)), caplog)) == 1
    (told,) = look(config(listed(tmp_path / "c.parquet", ["xyzzy"] * 3)), caplog)
    assert told.startswith("of the first 3 rows, 0.0% of 3 tags")
    assert look(config(listed(tmp_path / "d.parquet", ["cat"] * 1 + ["xyzzy"] * 19)), caplog) == []  # 5 of 100
    assert look(config(listed(tmp_path / "e.parquet", ["cat"] * 1 + ["xyzzy"] * 20)), caplog)


def test_a_look_holds_a_bounded_piece_of_each_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tags = [[f"{row}-{number}" + "x" * 5_000 for number in range(300)] for row in range(20)]
    path = listed(tmp_path / "a.parquet", tags)
    with FirstLook(config(path), MatchRules()) as looking:
        for batch in rows(config(path)):
            looking.see(batch)
        assert max(map(len, looking._tags)) <= MAX_TAG_CHARS and looking._tags.total() <= 20 * 100
    assert "of the first 20 rows" in caplog.text


def test_no_warning_where_rows_were_partitioned_before_or_partitioning_failed(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = listed(tmp_path / "a.parquet", ["xyzzy"] * 3)
    with FirstLook(config(path), MatchRules()):
        pass
    with pytest.raises(RuntimeError), FirstLook(config(path), MatchRules()) as looking:
        looking.see(next(iter(rows(config(path)))))
        raise RuntimeError
    assert not caplog.records


def test_lists_without_tags(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "urls.txt").write_text("http://x.example/1.jpg\nhttp://x.example/2.jpg\n")
    (told,) = look(config(tmp_path / "urls.txt"), caplog)
    assert "of the first 2 rows, no tags" in told and "a list of plain URLs" in told
    (tmp_path / "a.csv").write_text("url,caption\nhttp://x.example/1.jpg,a cat\n")
    (told,) = look(config(tmp_path / "a.csv", caption_column="caption"), caplog)
    assert "no caption in the column 'caption' has a #hashtag (give --caption-nouns" in told
    assert look(config(tmp_path / "a.csv", caption_column="caption", caption_nouns=True), caplog) == []


def test_pictures_in_folders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(4):
        path = tmp_path / "photos" / ("brown_bear", "tabby")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    (told,) = look(config(tmp_path / "photos"), caplog)
    assert "--tags-from-folder" in told and "in folders such as" in told
    assert look(config(tmp_path / "photos", tags_from_folder=True), caplog) == []


def test_how_a_run_reads_its_tags(tmp_path: Path) -> None:
    path = listed(tmp_path / "a.parquet", ["cat"])
    found = reading_of(config(path))
    assert (found.tags_column, found.caption_column, found.plain, found.folders) == ("tags", None, False, False)
    captions = reading_of(config(path, caption_column="text"))
    assert captions.tags_column is None and not captions.caption_nouns
    assert reading_of(config(path, caption_column="text", caption_nouns=True)).caption_nouns
