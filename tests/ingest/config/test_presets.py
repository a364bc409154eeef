"""Published lists: columns by their names, YFCC100M's lines as they are, and what is no picture left out and counted."""

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest import ingest
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.config.presets import PRESETS, Columns
from tagmill.ingest.layout import INPUTS_FILE
from tagmill.ingest.parts.partition import partition
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.rows import rows
from tagmill.shards.errors import InputError
from tagmill.shards.storage.store import Store
from tests.ingest.smallweb import config, web

__all__ = ["web"]  # fixtures


def read(path: Path, warnings: dict[int, InputWarnings] | None = None, **settings: Any) -> list[dict[str, Any]]:
    chosen = IngestConfig(input=(str(path),), output="corpus", **{"preset": "yfcc100m", **settings})
    return [row for batch in rows(chosen, warnings) for row in batch.to_pylist()]


def test_every_wanted_column_has_the_flag_that_names_it() -> None:
    columns = Columns("u", caption="c", page="p", extra=("c", "x"))
    flags = {"u": "--url-column", "c": "--caption-column", "p": "--page-column", "x": "--extra-columns"}
    assert columns.flags() == flags


def test_a_header_has_the_columns_that_its_preset_wants() -> None:
    preset = PRESETS["yfcc100m"]
    wanted = {*preset.columns.flags(), *preset.encoded, *preset.skip}
    assert len(preset.header) == len(set(preset.header)) == 25 and wanted <= set(preset.header)


def test_laion_names_its_columns_in_capitals(tmp_path: Path) -> None:
    line = {"URL": "u", "TEXT": "a #cat", "LICENSE": "?", "similarity": 0.3}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    found = read(tmp_path, preset="laion", licence_column="LICENSE", extra_columns=("TEXT",))
    assert found == [{"row_id": 0, "url": "u", "tags": ["cat"], "licence": "?", "page": None, "TEXT": "a #cat"}]


@pytest.mark.parametrize("name", ["datacomp", "coyo"])
def test_lists_with_scores_carry_them_as_extra_columns(tmp_path: Path, name: str) -> None:
    line = {"url": "http://a/1.jpg", "text": "my #cat", "aesthetic_score_laion_v2": 5.5, "num_faces": 0}
    pq.write_table(pa.Table.from_pylist([line]), tmp_path / "part.parquet")
    (found,) = read(tmp_path, preset=name, extra_columns=("aesthetic_score_laion_v2", "num_faces"))
    assert found["url"] == "http://a/1.jpg" and found["tags"] == ["cat"]
    assert found["aesthetic_score_laion_v2"] == 5.5 and found["num_faces"] == 0


@pytest.mark.parametrize(
    ("name", "line"), [("cc12m", 'http://a/1.jpg\ta "big #dog"\n'), ("cc3m", 'a "big #dog"\thttp://a/1.jpg\n')]
)
def test_conceptual_captions_have_no_header(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / "cc.tsv").write_text(line * 2)
    found = read(tmp_path / "cc.tsv", preset=name, extra_columns=("caption",))
    assert [row["tags"] for row in found] == [["dog"], ["dog"]]
    assert {row["url"] for row in found} == {"http://a/1.jpg"} and found[0]["caption"] == 'a "big #dog"'


def test_redcaps_as_a_table(tmp_path: Path) -> None:
    line = {"image_id": "x", "image_url": "http://i/1.jpg", "caption": "my #owl", "permalink": "/r/owls/x"}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    (found,) = read(tmp_path, preset="redcaps")
    assert (found["url"], found["tags"], found["page"]) == ("http://i/1.jpg", ["owl"], "/r/owls/x")


def photo(line: int, **given: str) -> bytes:
    """A line of YFCC100M's metadata, as it is published."""
    fields = dict.fromkeys(PRESETS["yfcc100m"].header, "") | {"line": str(line), "marker": "0", **given}
    return "\t".join(fields.values()).encode() + b"\n"


def yfcc_lines() -> bytes:
    """Four rows, of which the first and the last are videos."""
    rights = "http://creativecommons.org/licenses/by/2.0/"
    cat = {"user_tags": "canon+eos,caf%C3%A9,a%2Cb,,5%25", "licence_url": rights, "title": '"my+%23cat'}
    cat |= {"page_url": "http://flickr/p/1", "download_url": "http://static/1%20.jpg"}
    video = {"download_url": "http://static/v.mp4", "user_tags": "film", "marker": "1"}
    lines = [photo(0, **video), photo(1, **cat), photo(2, download_url="http://static/2.jpg"), photo(3, **video)]
    return b"".join(lines)


@pytest.mark.parametrize("name", ["yfcc100m_dataset", "yfcc100m_dataset.bz2", "a.tsv", "a.txt.gz"])
def test_yfcc100m_as_it_is_published(tmp_path: Path, name: str) -> None:
    packed = name.rpartition(".")[2]
    (tmp_path / name).write_bytes({"bz2": bz2.compress, "gz": gzip.compress}.get(packed, bytes)(yfcc_lines()))
    warnings: dict[int, InputWarnings] = {}
    found = read(tmp_path / name, warnings, extra_columns=("title",), caption_column="title")
    first = {"row_id": 1, "url": "http://static/1%20.jpg", "tags": ["canon eos", "café", "a,b", "5%", "cat"]}
    first |= {"licence": "http://creativecommons.org/licenses/by/2.0/", "page": "http://flickr/p/1"}
    second = {"row_id": 2, "url": "http://static/2.jpg", "tags": [], "licence": None, "page": None, "title": None}
    assert found == [{**first, "title": '"my #cat'}, second]
    assert warnings[0].counts() == {"skipped": 2}
    if name != "yfcc100m_dataset":  # in a folder, a file without any suffix may be anything
        (tmp_path / "LICENSE").write_text("not a list")
        assert read(tmp_path) == read(tmp_path / name)


def test_yfcc100m_refuses_what_it_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(photo(0) + photo(1).replace(b"\t", b" ", 1))
    with pytest.raises(InputError, match=r"Row #2: Expected 25 columns, got 24"):
        read(tmp_path / "a.tsv")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="flags"):
        read(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no column 'likes'"):
        read(tmp_path / "a.tsv", extra_columns=("likes",))


def test_the_corpus_remembers_how_many_were_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(photo(0, marker="1") + photo(1, download_url="u"))
    (tmp_path / "b.tsv").write_bytes(photo(0, download_url="v"))
    chosen = IngestConfig(input=(str(tmp_path / "*.tsv"),), output=str(tmp_path / "corpus"), preset="yfcc100m")
    dealt = partition(chosen, Store(chosen.output), tmp_path)
    assert dealt.rows == 2
    listed = pq.read_table(tmp_path / "corpus" / INPUTS_FILE).to_pylist()
    assert [(file["rows"], file["skipped"]) for file in listed] == [(1, 1), (1, 0)] and dealt.inputs.skipped == 1


def test_licence_and_page_stay_with_the_sample(web: str, tmp_path: Path) -> None:
    """The whole way: YFCC100M's lines become a corpus, and what was left out is in the report."""
    rights = "http://creativecommons.org/licenses/by-sa/2.0/"
    lines = [
        photo(n, download_url=f"{web}/picture/{n}", user_tags="tulip", licence_url=rights, page_url=f"http://page/{n}")
        for n in range(3)
    ]
    (tmp_path / "yfcc100m_dataset").write_bytes(b"".join(lines) + photo(3, download_url=f"{web}/v", marker="1"))
    given = str(tmp_path / "yfcc100m_dataset")
    report = ingest(
        config(given, tmp_path / "corpus", preset="yfcc100m", extra_columns=("date_taken",), holdout=0, shard_samples=9)
    )
    assert (report.rows, report.samples, report.rejects, report.skipped) == (3, {"train": 3, "holdout": 0}, {}, 1)
    facts = pq.read_table(tmp_path / "corpus" / "shards" / "000000.parquet").to_pylist()
    assert {(row["url"], row["licence"], row["page"], *row["tags"]) for row in facts} == {
        (f"{web}/picture/{n}", rights, f"http://page/{n}", "tulip") for n in range(3)
    }
