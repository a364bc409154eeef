"""Rows from every format: equal for every format, batch size and compression; errors of one line."""

import bz2
import dataclasses
import gzip
import json
import random
import tarfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.sources import decompress, tables
from tagmill.ingest.sources import rows as sources
from tagmill.ingest.sources.decompress import LINE_BYTES
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.inputs import ROW_BITS, Found, Input, inputs
from tagmill.ingest.sources.rows import check, extra_schema, row_schema, rows
from tagmill.ingest.sources.samples import Listing
from tagmill.shards.errors import InputError
from tagmill.shards.storage.store import Store
from tests.ingest.sources.stored.test_sparse_file import index_of, photographs
from tests.ingest.tarmaker import tar
from tests.shards.countedstore import CountedDriver, counted_store
from tests.shards.faults import Faults, FaultyProxy, faulty
from tests.shards.objectstore import ObjectStore

ROWS = [
    {"url": "http://a/1", "tags": ["cat", "#Dog"], "by": "CC0", "on": "http://a/", "n": 1},
    {"url": "http://a/2", "tags": [], "by": None, "on": None, "n": None},
    {"url": None, "tags": ["ü, 犬"], "by": "x", "on": "y\nz", "n": 3},
]
COLUMNS: dict[str, Any] = {"licence_column": "by", "page_column": "on", "extra_columns": ("n",)}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def config(*given: Path | str, **settings: Any) -> IngestConfig:
    return IngestConfig(input=tuple(map(str, given)), output="corpus", **settings)


def read(*given: Path | str, **settings: Any) -> list[dict[str, Any]]:
    chosen = config(*given, **settings)
    schema, found = row_schema(chosen), []
    for batch in rows(chosen):
        assert batch.schema.equals(schema)
        batch.validate(full=True)
        found += batch.to_pylist()
    return found


def parquet(path: Path, lines: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(lines), path)


def json_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n\n" for line in lines))


def separated(path: Path, lines: list[dict[str, Any]]) -> None:
    mark = "\t" if path.suffix == ".tsv" else ","

    def field(value: Any) -> str:
        text = "" if value is None else "|".join(value) if isinstance(value, list) else str(value)
        return '"' + text.replace('"', '""') + '"' if text else ""

    body = [mark.join(lines[0]), *(mark.join(field(value) for value in line.values()) for line in lines)]
    path.write_text("\n".join(body) + "\n")


@pytest.mark.parametrize(
    ("suffix", "write"),
    [("parquet", parquet), ("jsonl", json_lines), ("ndjson", json_lines), ("csv", separated), ("tsv", separated)],
)
def test_every_format_gives_the_same_rows(
    tmp_path: Path, suffix: str, write: Callable[[Path, list[dict[str, Any]]], None]
) -> None:
    write(tmp_path / f"list.{suffix}", ROWS)
    number = (lambda n: n) if suffix == "parquet" else (lambda n: None if n is None else str(n))
    wanted = [
        {
            "row_id": i,
            "url": row["url"],
            "tags": row["tags"],
            "licence": row["by"],
            "page": row["on"],
            "n": number(row["n"]),
        }
        for i, row in enumerate(ROWS)
    ]
    assert read(tmp_path, **COLUMNS, tags_separator="|") == wanted
    plain = tmp_path / f"list.{suffix}"
    if suffix != "parquet":
        for ending, pack in PACKERS.items():
            packed = tmp_path / f"packed.{suffix}.{ending}"
            packed.write_bytes(pack(plain.read_bytes()))
            assert read(packed, **COLUMNS, tags_separator="|") == wanted


def test_files_come_in_order_of_name_and_once(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, count in [("b.csv", 3), ("a.tsv", 2), ("sub/c.csv", 1)]:
        separated(tmp_path / name, [{"url": f"{name} {i}", "tags": "t"} for i in range(count)])
    (tmp_path / "README.md").write_text("not a list")
    found = read(tmp_path, tmp_path / "b.csv", tmp_path / "*.tsv")
    names = ["a.tsv"] * 2 + ["b.csv"] * 3 + ["sub/c.csv"]
    ordinals = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0)]
    assert [row["url"] for row in found] == [f"{name} {row}" for name, (_, row) in zip(names, ordinals, strict=True)]
    assert [row["row_id"] for row in found] == [file << ROW_BITS | row for file, row in ordinals]
    found = [each.url for each in inputs(config(tmp_path))]
    assert found == sorted(found)


def test_batches_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [{"url": f"http://a/{i}", "tags": [str(i)] * (i % 3)} for i in range(50)]
    json_lines(tmp_path / "a.jsonl", lines)
    parquet(tmp_path / "b.parquet", lines)
    whole = read(tmp_path)
    for size in (1, 7, 49, 50):
        monkeypatch.setattr(sources, "BATCH_ROWS", size)
        assert read(tmp_path) == whole
    assert len(whole) == 100


@given(
    st.lists(
        st.tuples(st.none() | st.text(max_size=8), st.none() | st.lists(st.none() | st.text(max_size=5), max_size=4)),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_text_comes_through_parquet_and_json(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str | None, list[str | None] | None]]
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    lines = [{"url": url, "tags": tags} for url, tags in made]
    schema = pa.schema([("url", pa.large_string()), ("tags", pa.large_list(pa.string()))])
    pq.write_table(pa.Table.from_pylist(lines, schema), folder / "a.parquet")
    json_lines(folder / "b.jsonl", lines)
    found = read(folder)
    blank = "".join(c for c in map(chr, range(0x3001)) if c.isspace())
    for row, line in zip(found, lines * 2, strict=True):
        assert row["url"] == line["url"]
        plain = [tag.strip(blank) for tag in line["tags"] or () if tag]
        ours = [tag.strip(blank) for tag in row["tags"]]
        assert ours == [tag for tag in plain if tag]


@given(limit=st.integers(1, 14), batch=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_a_limit_gives_the_first_rows_and_reads_no_further(
    tmp_path_factory: pytest.TempPathFactory, limit: int, batch: int
) -> None:
    folder = tmp_path_factory.mktemp("limited")
    lines = [{"url": f"http://a/{i}", "tags": [str(i)]} for i in range(4)]
    json_lines(folder / "a.jsonl", lines)
    (folder / "b.csv").write_text("url,tags\n")
    separated(folder / "c.tsv", lines)
    json_lines(folder / "d.jsonl", lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BATCH_ROWS", batch)
        whole = read(folder)
        (folder / "d.jsonl").write_text(json.dumps(lines[0]) + "\n" + "no JSON\n" * (limit < 9))
        assert read(folder, limit=min(limit, 9)) == whole[: min(limit, 9)]
        warnings: dict[int, InputWarnings] = {}
        list(rows(config(folder, limit=min(limit, 8)), warnings))
    assert sorted(warnings) == ([0] if limit <= 4 else [0, 1, 2])
    assert [ordinal for ordinal, seen in warnings.items() if seen.cut] == [max(warnings)]


def test_a_limit_counts_no_rows_that_a_preset_leaves_out(tmp_path: Path) -> None:
    lines = ["\t".join([*(f"{row}-{column}" for column in range(24)), str(row % 2)]) for row in range(9)]
    (tmp_path / "yfcc100m_dataset").write_text("\n".join(lines) + "\n")
    found = read(tmp_path / "yfcc100m_dataset", preset="yfcc100m", limit=3)
    assert [row["row_id"] for row in found] == [0, 2, 4]


def test_a_limit_larger_than_the_list_changes_nothing(tmp_path: Path) -> None:
    json_lines(tmp_path / "a.jsonl", ROWS)
    warnings: dict[int, InputWarnings] = {}
    limited = [row for batch in rows(config(tmp_path, limit=len(ROWS) + 1), warnings) for row in batch.to_pylist()]
    assert limited == read(tmp_path) and not warnings[0].cut


def test_tags_as_text_are_split_and_blanks_dropped(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", [{"url": "u", "tags": t} for t in ("a, b ,,c", "", None, " ", "#x")])
    json_lines(tmp_path / "b.jsonl", [{"url": "u", "tags": t} for t in ("a,b", ["c,d", None, 7], None)])
    assert [row["tags"] for row in read(tmp_path)] == [
        *[["a", "b", "c"], [], [], [], ["#x"]],
        *[["a", "b"], ["c,d", "7"], []],
    ]


def test_dictionaries_and_sliced_lists(tmp_path: Path) -> None:
    url = pa.array(["a", "b", "a", None]).dictionary_encode()
    tags = pa.array([["x"], ["y", "z"], [], ["w"]], pa.list_(pa.string()))
    table = pa.table({"url": url, "tags": tags}).slice(1)
    pq.write_table(table, tmp_path / "a.parquet")
    assert [(row["url"], row["tags"]) for row in read(tmp_path)] == [("b", ["y", "z"]), ("a", []), (None, ["w"])]


def test_invalid_utf8_is_replaced(tmp_path: Path) -> None:
    bad = pa.array([b"http://a/\xff", b"http://b/"], pa.binary())
    pq.write_table(pa.table({"url": bad.view(pa.string()), "tags": bad.view(pa.string())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"url": bad, "tags": bad}), tmp_path / "b.parquet")
    (tmp_path / "c.csv").write_bytes(b"url,tags\nhttp://a/\xff,x\n")
    (tmp_path / "d.jsonl").write_text('{"url": "http://a/\\ud800", "tags": ["\\udfff"]}\n')
    urls = [row["url"] for row in read(tmp_path)]
    assert urls == ["http://a/\ufffd", "http://b/", "http://a/\ufffd", "http://b/", "http://a/\ufffd", "http://a/?"]


def test_extra_columns_keep_simple_kinds(tmp_path: Path) -> None:
    columns = {
        "i": pa.array([1, None], pa.int16()),
        "f": pa.array([float("nan"), 1.5], pa.float32()),
        "b": pa.array([True, None]),
        "d": pa.array([0, 1], pa.date32()),
        "s": pa.array(["x", None], pa.large_string()),
    }
    pq.write_table(pa.table({"url": ["u", "v"], "tags": ["", ""], **columns}), tmp_path / "a.parquet")
    extra = tuple(columns)
    kinds = [pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.string()]
    assert extra_schema(config(tmp_path, extra_columns=extra)).types == kinds
    first, second = read(tmp_path, extra_columns=extra)
    assert [first[name] for name in extra] == [1, None, True, "1970-01-01", "x"]  # JSON has no NaN
    assert [second[name] for name in extra] == [None, 1.5, None, "1970-01-02", None]


def broken(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Inputs that cannot be read, with what the error must say."""
    files = {
        "a.csv": (b"link,tags\nx,y\n", "no column 'url'"),
        "b.csv": (b"", "the list is empty"),
        "c.csv": (b"url,tags\nx,y\nx,y,z\n", "cannot be read"),
        "d.csv": (b"url,tags\n", "the list is empty"),
        "e.parquet": (b"PAR1 no", "cannot be read"),
        "f.jsonl": (b'{"url": "x", "tags": []}\nnot json\n', "line 2 is not JSON"),
        "g.jsonl": (b"[1, 2]\n", "line 1 is no JSON object"),
        "h.jsonl": (b'{"link": "x", "tags": []}\n', "no column 'url'"),
        "i.jsonl": (b"\n\n", "the list is empty"),
        "j.csv.gz": (b"no gzip", "cannot be read"),
        "k.jsonl.gz": (gzip.compress(b'{"url": "x", "tags": []}\n' * 99)[:-9], "cannot be read"),
        "l.txt": (b" \n", "the list is empty"),
        "l.txt.gz": (b"x", "cannot be read"),
        "l.doc": (b"x", "format"),
        "l.parquet.gz": (b"x", "packed Parquet"),
        "n.csv": (b"url,tags\nx,y\nx,y,z\n", "Row #3"),
        "o.csv": (b'url,tags\nx,y\nx,"y\n' + b"x,y\n" * (LINE_BYTES >> 1), "row after row 1 has more"),
        **{
            f"p.{suffix}.gz": (gzip.compress(b"url,tags\n\n" + b"x" * (LINE_BYTES + 1)), "line 3 has more than")
            for suffix in ("csv", "tsv", "txt")
        },
        "p.jsonl.gz": (gzip.compress(b'{"url": "x", "tags": []}\n[' + b" " * LINE_BYTES), "line 2 has more than"),
        "r.csv": (b'url,tags\nx,y\nx,"y\nz,w\n', "row 2, the last, has a quote that is not closed"),
        "s.csv": (b'url,tags,more\nx,y,z\nx,y,"\n\nz\n', "row 2, the last"),
        "t.csv": (b"url,tags,url\nx,y,z\n", "2 columns 'url'"),
        "q.jsonl": (b'{"url": "x", "tags": []}\n' + b"[" * 200_000, "line 2 is not JSON"),
        "m": (b"x", "format"),
    }
    for name, (content, _) in files.items():
        (tmp_path / name).write_bytes(content)
    return {name: (tmp_path / name, says) for name, (_, says) in files.items()}


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("tags", ['"a\nb"', '"\n"', 'a "b', '"a""\n"""', "", '"a"'])
def test_quotes_that_are_closed_are_no_mistake(tmp_path: Path, tags: str, end: str) -> None:
    (tmp_path / "a.csv").write_bytes(f"url,n,tags\nu,1,t\nv,2,{tags}{end}".encode())
    wanted = tags[1:-1].replace('""', '"') if tags.startswith('"') else tags
    assert [row["tags"] for row in read(tmp_path)] == [["t"], [wanted.strip()] if wanted.strip() else []]
    assert [row["tags"] for row in read(tmp_path, tags_column="n")] == [["1"], ["2"]]


def test_read_errors_are_one_line_with_a_remedy(tmp_path: Path) -> None:
    for path, says in broken(tmp_path).values():
        with pytest.raises(InputError) as caught:
            read(path)
        message = str(caught.value)
        assert says in message and path.name in message and "\n" not in message and caught.value.remedy, message


@pytest.mark.parametrize("name", ["missing.csv", "none-*.csv", "empty", "s", "s/x.csv"])
def test_missing_inputs_are_errors(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no input here"):
        read(tmp_path / name)


def test_a_later_file_without_the_column_is_found(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", [{"url": "u", "tags": "t", "n": 1}])
    parquet(tmp_path / "b.parquet", [{"url": "u", "tags": "t"}])
    with pytest.raises(InputError, match=r"no column 'n' \(.*b\.parquet\)"):
        read(tmp_path, extra_columns=("n",))
    parquet(tmp_path / "b.parquet", [{"url": "u", "tags": "t", "n": "many"}])
    with pytest.raises(InputError, match=r"cannot be read.*b\.parquet"):
        read(tmp_path, extra_columns=("n",))


def test_a_memory_store(tmp_path: Path) -> None:
    """Any fsspec URL is a source."""
    from tagmill.shards.storage.store import Store

    for ending, pack in {"": bytes, **{f".{ending}": pack for ending, pack in PACKERS.items()}}.items():
        Store("memory://lists").put(f"x{ending}/a.csv{ending}", pack(b"url,tags\nu,t\n"))
        folder = f"memory://lists/x{ending}"
        for place in (f"{folder}/a.csv{ending}", folder, f"{folder}/*.csv{ending}"):
            assert [row["url"] for row in read(place)] == ["u"]


def test_many_rows_stream_in_batches(tmp_path: Path) -> None:
    count = sources.BATCH_ROWS * 2 + 5
    urls = [f"http://a/{i}" for i in range(count)]
    pq.write_table(pa.table({"url": urls, "tags": [""] * count}), tmp_path / "a.parquet")
    batches = list(rows(config(tmp_path)))
    assert max(map(len, batches)) <= sources.BATCH_ROWS
    ids = np.concatenate([batch["row_id"].to_numpy() for batch in batches])
    assert (ids == np.arange(count)).all()


@pytest.mark.parametrize("ending", PACKERS)
def test_compressed_files_may_be_concatenated(tmp_path: Path, ending: str) -> None:
    """`cat a.gz b.gz` is a list too, and parallel compressors write files of this kind."""
    pack = PACKERS[ending]
    (tmp_path / f"a.csv.{ending}").write_bytes(pack(b"url,tags\nu,t\nv") + pack(b",t\nw,t\n"))
    assert [row["url"] for row in read(tmp_path)] == ["u", "v", "w"]


def test_plain_urls_have_no_tags(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfhttp://a/1\r\n\n \n http://a/2 \nhttp://a/\xff\nhttp://a/3")
    found = read(tmp_path, url_column="adress")
    assert [row["url"] for row in found] == ["http://a/1", "http://a/2", "http://a/\ufffd", "http://a/3"]
    assert [row["row_id"] for row in found] == [0, 1, 2, 3]
    assert all(row["tags"] == [] and row["licence"] is None and row["page"] is None for row in found)
    with pytest.raises(InputError, match="leave out --licence-column"):
        read(tmp_path, licence_column="by")


def test_a_folder_with_lists_and_texts_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("how to read the list")
    (tmp_path / "a.csv").write_text("url,tags\nu,t\n")
    with pytest.raises(InputError, match=r"README\.txt"):
        read(tmp_path)
    assert [row["url"] for row in read(tmp_path / "*.csv")] == ["u"]


@pytest.mark.parametrize(("suffix", "write"), [("parquet", parquet), ("jsonl", json_lines), ("csv", separated)])
def test_hashtags_of_captions_are_tags(
    tmp_path: Path, suffix: str, write: Callable[[Path, list[dict[str, Any]]], None]
) -> None:
    captions = ["my #cat, my #Dog!", None, "no tags here"]
    write(tmp_path / f"a.{suffix}", [{"url": "u", "tags": "pet", "caption": text} for text in captions])
    assert [row["tags"] for row in read(tmp_path, caption_column="caption")] == [["cat", "Dog"], [], []]
    both = {"caption_column": "caption", "tags_column": "tags"}
    found = read(tmp_path, **both, extra_columns=("caption",))
    assert [row["tags"] for row in found] == [["pet", "cat", "Dog"], ["pet"], ["pet"]]
    assert [row["caption"] for row in found] == captions
    nouns = [row["tags"] for row in read(tmp_path, **both, caption_nouns=True)]
    assert nouns == [["pet", "cat", "Dog"], ["pet"], ["pet", "tag"]]
    assert [row["tags"] for row in read(tmp_path, preset="img2dataset")] == [["cat", "Dog"], [], []]


def peak(path: Path) -> tuple[int, int]:
    """The most bytes that Arrow holds when a batch is handed out, and that Python ever does, in reading a file."""
    before, most = pa.total_allocated_bytes(), 0
    tracemalloc.start()
    try:
        for batch in rows(config(path)):
            assert len(batch)
            most = max(most, pa.total_allocated_bytes() - before)
        return most, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def long_list(path: Path, count: int) -> None:
    """A list of `count` rows of about 220 bytes."""
    kind, _, ending = path.name.partition(".")[2].partition(".")  # of 600.csv.gz
    lines = [{"url": f"http://a/{i:0200d}", "tags": "one,two"} for i in range(count)]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(lines), path, row_group_size=1000, use_dictionary=False)
        return
    if kind == "txt":
        path.write_text("\n".join(line["url"] for line in lines))
    else:
        {"csv": separated, "tsv": separated, "jsonl": json_lines}[kind](path, lines)
    path.write_bytes(PACKERS.get(ending, bytes)(path.read_bytes()))


@pytest.mark.parametrize("suffix", ["csv.gz", "tsv", "jsonl.zst", "txt.gz", "parquet"])
def test_memory_does_not_grow_with_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(sources, "BATCH_ROWS", 200)
    monkeypatch.setattr(tables, "LINE_BYTES", 1 << 14)  # Arrow reads up to 32 blocks of CSV ahead
    monkeypatch.setattr(decompress, "LINE_BYTES", 1 << 14)
    peaks = []
    for count in (6_000, 30_000):
        path = tmp_path / f"{count}.{suffix}"
        long_list(path, count)
        peaks.append(peak(path))
    (arrow, python), (more_arrow, more_python) = peaks
    ahead = 32 << 14  # bytes that may have been read ahead when it is looked, or not
    assert more_arrow < 1.4 * arrow + ahead and more_python < 1.4 * python + ahead, peaks
    assert more_arrow + more_python < 4_000_000, peaks  # the larger list has 6.6 million bytes of text


def warnings_of(*given: Path, **settings: Any) -> list[dict[str, int]]:
    """What is counted of each input."""
    found: dict[int, InputWarnings] = {}
    for _ in rows(config(*given, **settings), found):
        pass
    return [found[ordinal].counts() for ordinal in sorted(found)]


def test_empty_words_are_no_licence(tmp_path: Path) -> None:
    columns = {"url": ["u", "v"], "tags": ["x", "y"], "by": ["CC0", "nan"], "on": pa.array([float("nan")] * 2)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    found = read(tmp_path, licence_column="by", page_column="on")
    assert [(row["licence"], row["page"]) for row in found] == [("CC0", None), (None, None)]


def test_left_out_inputs_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("000000.tar", "holdout-000000.tar", "holdout-000000.npy"):
        (tmp_path / name).write_bytes(bytes(1024))
    with pytest.raises(InputError, match="the list is empty"):
        check(config(tmp_path))
    assert "1 held-out shards (holdout-*) are not read" in caplog.text


def remote_tars(
    folder: Path, patch: pytest.MonkeyPatch, number: int, broken: int | None = None, size: int = 9000
) -> tuple[CountedDriver, IngestConfig, IngestConfig]:
    """The same tars on the disk and in a store: the store's driver, and a config for each."""
    driver, here, there = counted_store(patch), [], []
    for ordinal in range(number):
        name = f"{ordinal:05d}.tar"
        entries = []
        for key in range(1 + ordinal % 4):
            facts = json.dumps({"url": f"http://h/{ordinal}/{key}", "tags": f"a,{key}"}).encode()
            entries += [(f"{key}.jpg", bytes(size)), (f"{key}.json", facts)]
        path = tar(folder / name, entries)
        if ordinal == broken:
            with tarfile.open(path) as file:
                end = file.getmembers()[-1].offset_data + 512  # where a header of zeros ends the tar
            path.write_bytes(path.read_bytes()[:end].ljust(end + 512, b"x"))
        driver.objects[name] = path.read_bytes()
        here.append(Input(str(path), "tars", name))
        there.append(Input(f"s3://x/{name}", "tars", name))
    patch.setattr(sources, "inputs", lambda config: there if config.input[0].startswith("s3:") else here)
    patch.setattr(sources, "find_inputs", lambda config: Found(sources.inputs(config)))
    settings: dict[str, Any] = {"tags_column": "tags"}
    return driver, config(folder / "*.tar", **settings), config("s3://x/*.tar", **settings)


def test_remote_tars_are_read_by_the_threads_that_list_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request in another thread, which could be asked again, costs as much again."""
    driver, here, there = remote_tars(tmp_path, monkeypatch, 5)
    read_range, readers = driver.read_range, set[str]()

    def noted(path: str, start: int, stop: int) -> Any:
        readers.add(threading.current_thread().name.rpartition("_")[0])
        return read_range(path, start, stop)

    monkeypatch.setattr(CountedDriver, "hedged", True)
    monkeypatch.setattr(driver, "read_range", noted)
    assert everything(there)[0] == everything(here)[0]
    assert readers == {"tagmill-stream"}


def everything(chosen: IngestConfig) -> tuple[list[dict[str, Any]], dict[int, Any], dict[int, Any], str]:
    """Returns all rows, the warnings, the digests, and the error that ended them."""
    warnings: dict[int, InputWarnings] = {}
    listings: dict[int, Listing] = {}
    found, error = [], ""
    try:
        for batch in rows(chosen, warnings, listings):
            assert len({row >> ROW_BITS for row in batch["row_id"].to_pylist()}) <= 1
            found += batch.to_pylist()
    except InputError as raised:
        error = str(raised)
    for row in found:
        row["bytes_at"]["object"] = row["bytes_at"]["object"].rpartition("/")[2]
    digests = {ordinal: (listing.bytes, listing.sha256) for ordinal, listing in listings.items()}
    return found, warnings, digests, error


def test_remote_tars_are_listed_together_and_give_the_rows_of_local_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PIECE_ROWS", 3)
    driver, here, there = remote_tars(tmp_path, monkeypatch, 150)
    driver.together, driver.gated = 32, "range "
    wanted, found = everything(here), everything(there)
    assert found == wanted and len(found[0]) == 373 and len(found[2]) == 150
    assert 32 <= driver.most_in_flight <= sources.TARS_AT_ONCE


@pytest.mark.parametrize("limit", [1, 200, 373])
def test_a_limit_ends_at_the_same_row_of_remote_tars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """However far other tars are listed ahead, nothing of them is noticed."""
    _, here, there = remote_tars(tmp_path, monkeypatch, 150)
    whole = everything(here)[0]
    here, there = (dataclasses.replace(each, limit=limit) for each in (here, there))
    found, wanted = everything(there), everything(here)
    assert found == wanted and found[0] == whole[:limit]
    last = max(found[1])
    assert last == found[0][-1]["row_id"] >> ROW_BITS and set(found[1]) == set(found[2])


@pytest.mark.parametrize("broken", [0, 70, 149])
def test_a_broken_tar_among_many_is_the_error_in_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    driver, here, there = remote_tars(tmp_path, monkeypatch, 150, broken)
    wanted, found = everything(here), everything(there)
    name = f"{broken:05d}.tar"
    assert f"{tmp_path}/{name}" in wanted[3] and found[3] == wanted[3].replace(str(tmp_path), "s3://x")
    assert found[0] == wanted[0]
    asked = {path for path, _, _ in driver.ranges}
    assert len(asked) <= broken + 1 + 2 * sources.TARS_AT_ONCE  # the rest is not begun


def test_one_remote_tar_is_read_by_its_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver, _, _ = remote_tars(tmp_path, monkeypatch, 4, size=30_000)
    driver.objects["00003.idx"] = index_of(driver.objects["00003.tar"], 2)
    monkeypatch.setattr(sources, "inputs", lambda config: [Input("s3://x/00003.tar", "tars", "00003.tar")])
    driver.together, driver.gated = 5, "range "  # the stretches before, between and after four images
    assert len(read("s3://x/00003.tar", tags_column="tags")) == 4


def test_a_check_of_remote_tars_reads_a_few_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a tar that has all columns, only the first sample; else as much as `rows` reads before it refuses."""
    driver, _, there = remote_tars(tmp_path, monkeypatch, 90)
    driver.objects = dict.fromkeys(driver.objects, driver.objects["00003.tar"])
    check(there)
    assert driver.counts.total() <= 5 and {path for path, _, _ in driver.ranges} == {"00000.tar"}
    with pytest.raises(InputError, match="no column 'x'"):
        check(config("s3://x/*.tar", tags_column="x"))
    driver.objects = dict.fromkeys(driver.objects, bytes(10_240))
    with pytest.raises(InputError, match="the list is empty"):
        check(config("s3://x/*.tar"))


def test_a_column_that_comes_late_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a local tar, a column may be missing in the first rows, not in all of the first batch."""
    monkeypatch.setattr(sources, "PIECE_ROWS", 2)
    driver, _, there = remote_tars(tmp_path, monkeypatch, 1)
    texts = [
        json.dumps({"url": f"http://h/{key}", **({"tags": "t"} if key == 30 else {})}).encode() for key in range(40)
    ]
    entries = [
        (f"{key}.{kind}", data) for key, text in enumerate(texts) for kind, data in (("jpg", b"x"), ("json", text))
    ]
    driver.objects["00000.tar"] = tar(tmp_path / "late.tar", entries).read_bytes()
    check(there)
    assert len(everything(there)[0]) == 40
    monkeypatch.setattr(sources, "BATCH_ROWS", 30)
    with pytest.raises(InputError, match="no column 'tags'"):
        check(there)
    assert "no column 'tags'" in everything(there)[3]


@pytest.fixture
def proxy(s3_service: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    import s3fs

    with faulty(s3_service.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        s3fs.S3FileSystem.clear_instance_cache()
        yield proxy
    s3fs.S3FileSystem.clear_instance_cache()


def test_tars_in_a_bucket_cost_a_request_a_sample_and_none_of_the_images(
    tmp_path: Path, s3_bucket: str, proxy: FaultyProxy
) -> None:
    """Counted by a proxy before a real service, with images of 21 kB and their JSON; then with requests that fail."""
    dice = random.Random(3)
    total = 0
    for number in range(4):
        data = photographs(60, lambda: dice.randrange(10_000, 32_000), lambda: dice.randrange(20, 900))
        Store(f"{s3_bucket}/tars").put(f"{number:05d}.tar", data)
        (tmp_path / f"{number:05d}.tar").write_bytes(data)
        total += len(data)
    here, there = (config(place, tags_column="caption") for place in (tmp_path, f"{s3_bucket}/tars"))
    wanted = everything(here)
    proxy.forget()
    assert everything(there) == wanted and len(wanted[0]) == 240
    asked = [request for request in proxy.requests if ".tar" in request.path and request.method == "GET"]
    assert len(asked) <= 1.15 * 240 and sum(request.size for request in asked) <= 0.15 * total
    proxy.faults = Faults(busy=0.05, reset=0.05, short=0.05, once=True)
    proxy.only = ".tar"
    assert everything(there) == wanted and proxy.counts().keys() == {"", "busy", "reset", "short"}
