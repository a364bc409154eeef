"""Lists of every format: empty parts, quotes and encodings; test_rows.py tests what is equal in all formats."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.ingest.sources.test_rows import PACKERS, read, warnings_of


@pytest.mark.parametrize("name", ["0.csv", "0.tsv.gz", "0.jsonl", "0.txt.bz2", "9.csv"])
@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\r\n"])
def test_empty_parts_are_no_rows(tmp_path: Path, name: str, content: bytes) -> None:
    suffix = ".txt" if ".txt" in name else ".csv"
    (tmp_path / f"5{suffix}").write_text("http://a/\n" if suffix == ".txt" else "url,tags\nhttp://a/,cat\n")
    (tmp_path / name).write_bytes(PACKERS.get(name.rpartition(".")[2], bytes)(content))
    assert [row["url"] for row in read(tmp_path)] == ["http://a/"]


LONE_QUOTES = 'url\ttags\nhttp://a/1\t"cat\nhttp://a/2\tdog\n\nhttp://a/3\tfox"\nhttp://a/4\tcow\n'


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_lines_inside_quotes_are_counted_and_quotes_may_be_text(tmp_path: Path, ends: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(LONE_QUOTES.replace("\n", ends).encode())
    assert len(read(path)) == 2 and warnings_of(path) == [{"joined_lines": 2}]
    assert [row["tags"] for row in read(path, quoting="none")] == [['"cat'], ["dog"], ['fox"'], ["cow"]]
    assert warnings_of(path, quoting="none") == [{}]
    whole = tmp_path / "b.csv"
    whole.write_bytes(b'url,tags,title\r\n\r\nu,"a,b","x ""y"""\r\n\r\nv,c,"one\r\n\r\ntwo"\r\nw,d,z')
    assert warnings_of(whole) == [{"joined_lines": 1}]  # also in a column that is not read


def test_rows_that_are_not_utf8_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("url,tags\nhttp://a/café,é\nhttp://b/,ü\nhttp://c/,x\n".encode("latin-1"))
    (tmp_path / "b.jsonl").write_bytes(
        '{"url": "http://a/é", "tags": "é"}\n{"url": "u", "tags": ""}\n'.encode("latin-1")
    )
    pq.write_table(pa.table({"url": pa.array([b"\xff", b"x", None]), "tags": ["", "", ""]}), tmp_path / "c.parquet")
    (tmp_path / "d.csv").write_text("url,tags\nhttp://a/café,é\n")
    assert warnings_of(tmp_path) == [{"replaced_rows": 2}, {"replaced_rows": 1}, {"replaced_rows": 1}, {}]
    (tmp_path / "e.txt").write_bytes("http://a/é\nhttp://b/\n".encode("latin-1"))
    assert warnings_of(tmp_path / "e.txt") == [{"replaced_rows": 1}]
