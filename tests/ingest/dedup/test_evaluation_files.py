"""Files of evaluation sets: all of them in one order, or single ones by their names."""

import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.dedup import evaluation_files as module
from tagmill.ingest.dedup.evaluation_files import evaluation_files, files_named, image_column

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def every_kind(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "one.jpg").write_bytes(b"1")
    (folder / "long.jpg").write_bytes(b"x" * 99)
    (folder / "notes.txt").write_text("no picture")
    with tarfile.open(folder / "deep" / "more.tar", "w") as tar:
        tar.add(folder / "one.jpg", "x/two.jpg")
        tar.add(folder / "long.jpg", "x/long.jpg")
        tar.add(folder / "notes.txt", "x/notes.txt")
    bodies: list[bytes | None] = [b"3", b"x" * 99, None, b"4", b"5"]
    rows = pa.array([{"bytes": body, "path": None} for body in bodies], IMAGE)
    pq.write_table(pa.table({"label": range(5), "image": rows}), folder / "val.parquet", row_group_size=2)
    pq.write_table(pa.table({"url": ["x"]}), folder / "urls.parquet")
    return folder


def test_all_files_in_order_and_single_ones_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 1)
    place, counts = every_kind(tmp_path / "set"), Counter[str]()
    found = {file.name: file.body for file in evaluation_files(str(place), 9, counts)}
    parquet = {f"val.parquet/00000000{row}": body for row, body in ((0, b"3"), (3, b"4"), (4, b"5"))}
    assert found == {"one.jpg": b"1", "deep/more.tar/x/two.jpg": b"1", **parquet}
    assert counts["broken"] == 4
    for names in ({"one.jpg", "long.jpg"}, {"val.parquet/000000003", "deep/more.tar/x/two.jpg"}, set(found)):
        named = {file.name: file.body for file in files_named(str(place), names, 9)}
        assert named == {name: found[name] for name in names & found.keys()}


@pytest.mark.parametrize("name", ["deep/more.tar", "val.parquet"])
def test_one_file_is_a_set(tmp_path: Path, name: str) -> None:
    path = every_kind(tmp_path / "set") / name
    found = {file.name: file.body for file in evaluation_files(str(path), 9, Counter())}
    assert found and all(each.startswith(f"{path.name}/") for each in found)
    assert {file.name: file.body for file in files_named(str(path), set(found) | {"other.tar/x"}, 9)} == found
    assert list(files_named(str(path.with_name("hashes.csv")), set(found), 9)) == []


def test_the_column_of_images() -> None:
    assert image_column(pa.schema([("n", pa.int64()), ("thumb", pa.large_binary())])) == "thumb"
    assert image_column(pa.schema([("mask", pa.binary()), ("image", IMAGE)])) == "image"
    assert image_column(pa.schema([("image", pa.string()), ("meta", pa.struct([("path", pa.string())]))])) is None
