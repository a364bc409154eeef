"""Evaluation sets as people bring them: folders, tars, tables of hashes; and what is no set."""

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.dedup.evaluation_sets import read_sets
from tagmill.shards.errors import ConfigError
from tagmill.shards.formats.record import sha256_hex
from tests.ingest.smallweb import config, picture


def folder(tmp_path: Path) -> Path:
    """Two pictures, a broken one, a note, and a tar with a third picture and one that is broken."""
    place = tmp_path / "val"
    (place / "deep").mkdir(parents=True)
    (place / "one.jpg").write_bytes(picture(1))
    (place / "deep" / "two.PNG").write_bytes(picture(5))
    (place / "cut.jpg").write_bytes(picture(2)[:200])
    (place / "notes.txt").write_text("no picture")
    (tmp_path / "three.jpg").write_bytes(picture(3))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with tarfile.open(place / "more.tar", "w") as tar:
        tar.add(tmp_path / "three.jpg", "x/three.jpg")
        tar.add(tmp_path / "bad.jpg", "x/bad.jpg")
    return place


def test_a_folder_with_a_tar(tmp_path: Path) -> None:
    sets = read_sets(config("rows", tmp_path / "corpus", evaluation_set=(f"val={folder(tmp_path)}",)))
    assert sets.broken == {"val": 2}
    assert sets.entries["name"].to_pylist() == ["deep/two.PNG", "more.tar/x/three.jpg", "one.jpg"]
    assert sets.entries["sha256"].to_pylist() == [sha256_hex(picture(number)) for number in (5, 3, 1)]
    assert sets.entries["pdq0"].null_count == 0


def test_parquet_with_images(tmp_path: Path) -> None:
    path = tmp_path / "validation.parquet"
    rows = [
        {"image": {"bytes": body, "path": "x"}, "label": 1} for body in (picture(1), b"no picture", None, picture(2))
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    sets = read_sets(config("rows", tmp_path / "corpus", evaluation_set=(f"val={path}",)))
    assert sets.broken == {"val": 2}
    assert sets.entries["name"].to_pylist() == ["validation.parquet/000000000", "validation.parquet/000000003"]
    assert sets.entries["sha256"].to_pylist() == [sha256_hex(picture(number)) for number in (1, 2)]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_of_hashes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"hashes.{kind}"
    digests, pdqs = ["AB" * 32, ""], ["", "f" * 64]
    if kind == "csv":
        path.write_text(f"sha256,pdq\n{digests[0]},\n,{pdqs[1]}\n")
    else:
        pq.write_table(pa.table({"sha256": digests, "pdq": pdqs}), path)
    sets = read_sets(config("rows", tmp_path / "corpus", evaluation_set=(f"a={path}", f"b={path}")))
    assert sets.entries["set"].to_pylist() == ["a", "a", "b", "b"]
    assert sets.entries["sha256"].to_pylist()[:2] == ["ab" * 32, None]
    assert sets.entries["pdq2"].to_pylist()[:2] == [None, -1]
    assert sets.hashed()[0].tolist() == [1, 3]


def _parquet(columns: dict[str, list[object]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none", None, "no images"),
        ("none.parquet", None, "cannot be read"),
        ("none.tar", None, "cannot be read"),
        ("bad.tar", b"no tar at all" * 99, "cannot be read"),
        ("bad.parquet", b"PAR1", "cannot be read"),
        ("bad.csv", b"\xff\xfe", "this is UTF-16"),
        ("cut.csv", b"sha256\n\xff", r"not text in UTF-8 \(.*cut.csv, line 2"),
        ("twice.csv", b"pdq,PDQ\n", "two columns of one name"),
        ("other.csv", b"url\nx\n", "neither a column sha256"),
        ("short.csv", b"sha256\nabc\n", "row 1"),
        ("empty.csv", b"sha256\n", "no images"),
        ("other.parquet", _parquet({"url": ["x"], "n": [1]}), "neither a column sha256"),
    ],
)
def test_what_is_no_set_is_said(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        read_sets(config("rows", tmp_path / "corpus", evaluation_set=(f"val={tmp_path / name}",)))


def test_a_table_as_tools_write_it(tmp_path: Path) -> None:
    """With a byte order mark, names in any case, the kind once more in front of the hash, other columns."""
    path = tmp_path / "HASHES.CSV"
    path.write_bytes(f"\ufeffPDQ,quality,SHA-256\r\npdq:{'F' * 64},100,\r\n,,{'AB' * 32}\r\n".encode())
    sets = read_sets(config("rows", tmp_path / "corpus", evaluation_set=(f"a={path}",)))
    assert sets.entries["pdq3"].to_pylist() == [-1, None] and sets.entries["sha256"].to_pylist() == [None, "ab" * 32]


def test_a_set_without_a_sound_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(picture(2)[:200])
    with pytest.raises(ConfigError, match="no valid image among 1 files"):
        read_sets(config("rows", tmp_path / "corpus", evaluation_set=(f"val={tmp_path}",)))
