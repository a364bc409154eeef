"""Samples as rows: the columns that flags name, a URL in every case, and bounded batches."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.sources import rows as sources
from tagmill.ingest.sources import samples as module
from tagmill.ingest.sources.locations import ByteRange
from tagmill.ingest.sources.rows import ROW_BITS, row_schema, rows
from tagmill.ingest.sources.samples import Sample
from tagmill.shards.errors import InputError
from tests.ingest.tarmaker import tar


def read(*given: Path, **settings: Any) -> list[dict[str, Any]]:
    config, found = IngestConfig(input=tuple(map(str, given)), output="corpus", **settings), []
    for batch in rows(config):
        assert batch.schema.equals(row_schema(config))
        batch.validate(full=True)
        found += batch.to_pylist()
    return found


def entries(number: int, meta: dict[str, Any] | None, folder: str = "") -> list[tuple[str, bytes]]:
    beside = [] if meta is None else [(f"{folder}{number:05d}.json", json.dumps(meta).encode())]
    return [(f"{folder}{number:05d}.jpg", b"j" * number), *beside]


META = {
    "url": "http://a/1",
    "caption": "a #cat, a #Dog",
    "tags": ["x", 5],
    "by": "CC0",
    "on": "http://p/",
    "w": 7,
    "u": "\ud800",
}


def test_columns_are_the_keys_of_the_metadata(tmp_path: Path) -> None:
    path = tar(tmp_path / "00000.tar", [*entries(1, META), *entries(2, {"url": None}), *entries(3, {"url": 5})])
    found = read(path, caption_column="caption", licence_column="by", page_column="on", extra_columns=("w", "u"))
    assert [row["row_id"] for row in found] == [0, 1, 2]
    assert [row["url"] for row in found] == ["http://a/1", "00000.tar/00002.jpg", "5"]
    assert [row["tags"] for row in found] == [["cat", "Dog"], [], []]
    assert [(row["licence"], row["page"], row["w"], row["u"]) for row in found[:2]] == [
        ("CC0", "http://p/", "7", "?"),
        (None, None, None, None),
    ]
    place = found[2]["bytes_at"]
    assert Path(place["object"]).read_bytes()[place["offset"] :][: place["size"]] == b"jjj"
    assert read(path)[0]["tags"] == ["x", "5"]


def test_folders_are_tags_where_they_are_asked_for(tmp_path: Path) -> None:
    path = tar(tmp_path / "t.tar", [*entries(1, META, "deep/n02132136/"), *entries(2, {"tags": "a"})])
    assert [row["tags"] for row in read(path, tags_from_folder=True)] == [["n02132136"], []]
    assert [row["tags"] for row in read(path, tags_from_folder=True, tags_column="tags")] == [
        ["x", "5", "n02132136"],
        ["a"],
    ]
    (tmp_path / "list.txt").write_text("http://a/")
    with pytest.raises(InputError, match="a list has no folders"):
        read(tmp_path / "list.txt", tags_from_folder=True)


def test_lists_and_tars_in_one_run(tmp_path: Path) -> None:
    path = tar(tmp_path / "b.tar", entries(1, {"tags": ["t"], "url": "http://b/"}))
    (tmp_path / "a.jsonl").write_text('{"url": "http://a/", "tags": ["s"]}')
    found = read(path, tmp_path / "a.jsonl")
    assert [(row["row_id"], row["url"], row["bytes_at"] is None) for row in found] == [
        (0, "http://a/", True),
        (1 << ROW_BITS, "http://b/", False),
    ]


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    plain, rich = tar(tmp_path / "plain.tar", entries(1, None)), tar(tmp_path / "rich.tar", entries(1, {"caption": ""}))
    assert read(plain)[0] | {"bytes_at": None} == {
        "row_id": 0,
        "url": "plain.tar/00001.jpg",
        "tags": [],
        "licence": None,
        "page": None,
        "bytes_at": None,
    }
    with pytest.raises(InputError, match=r"no column 'tags'.*--tags-column; the metadata has caption"):
        read(rich)
    assert read(rich, preset="img2dataset")[0]["tags"] == []
    for flag in ("url_column", "tags_column", "caption_column", "licence_column", "page_column"):
        with pytest.raises(InputError, match=rf"no column 'no'.*--{flag.replace('_', '-')}; there is no metadata"):
            read(plain, **{flag: "no"})


def test_batches_are_cut_by_rows_and_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar(tmp_path / "t.tar", [e for i in range(50) for e in entries(i, {"tags": "a" * 100})])
    config = IngestConfig(input=(str(path),), output="corpus")
    monkeypatch.setattr(sources, "BATCH_ROWS", 7)
    assert [len(batch) for batch in rows(config)] == [7] * 7 + [1]
    monkeypatch.setattr(module, "BATCH_BYTES", 300)
    assert [len(batch) for batch in rows(config)] == [3] * 16 + [2]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_metadata_is_read_in_the_encodings_of_windows(encoding: str) -> None:
    texts = {"json": '{"tags": ["caf\u00e9"]}'.encode(encoding), "txt": "a #cat".encode(encoding)}
    sample = module.Sample("a.jpg", ByteRange("/x/a.jpg", 1, 0, 1), texts)
    assert sample.facts() == {"tags": ["caf\u00e9"], "txt": "a #cat"} and sample.location.reason is None


def test_the_first_refusal_is_kept() -> None:
    sample = Sample("a", ByteRange("o", 1, 2, 3))
    sample.refuse("first")
    sample.refuse("second")
    assert sample.location == ByteRange("o", 1, 2, 0, "bad_member", "first")


def test_memory_does_not_grow_with_the_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BATCH_ROWS", 100)

    def peak(count: int) -> int:
        made = (entry for i in range(count) for entry in entries(i % 99, {"tags": ["t"] * 20, "url": f"http://a/{i}"}))
        path = tar(
            tmp_path / f"{count}.tar", ((f"{n // 2:07d}{name[5:]}", data) for n, (name, data) in enumerate(made))
        )
        tracemalloc.start()
        seen = sum(map(len, rows(IngestConfig(input=(str(path),), output="corpus"))))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seen == count
        return most

    few, many = peak(500), peak(5000)
    assert many < 1.3 * few + (1 << 18)
