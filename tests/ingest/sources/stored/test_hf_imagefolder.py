"""Hugging Face image folders: equal rows from every metadata format; images without rows and rows without images."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.shards.errors import InputError
from tests.ingest.sources.test_samples import read

ROWS = [
    {"file_name": "0.jpg", "tags": "cat,pet"},
    {"file_name": "sub/1.PNG", "tags": None},
    {"file_name": "no.jpg", "tags": "x"},
]


def folder(root: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    (root / "sub").mkdir(parents=True)
    for name in ("0.jpg", "sub/1.PNG", "2.jpg"):
        (root / name).write_bytes(b"p")
    path = root / f"metadata.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(rows[0]), *(",".join(f'"{value or ""}"' for value in row.values()) for row in rows)]
        path.write_text("\n".join(lines))
    return root


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_rows_name_their_pictures(tmp_path: Path, kind: str) -> None:
    found = read(folder(tmp_path / "train", kind, ROWS).parent)
    assert [(row["url"], row["tags"], row["bytes_at"]["reason"]) for row in found] == [
        ("train/0.jpg", ["cat", "pet"], None),
        ("train/2.jpg", [], None),
        ("train/no.jpg", ["x"], "not_found"),
        ("train/sub/1.PNG", [], None),
    ]


def test_other_names_of_the_column_and_pictures_that_are_named_twice(tmp_path: Path) -> None:
    rows = [{"left_file_name": "0.jpg", "file_names": [r"sub\1.PNG", "./2.jpg"], "tags": ["a"]}]
    rows.append({"left_file_name": "0.jpg", "file_names": ["../x.jpg"], "tags": [{"name": "b"}]})
    found = read(folder(tmp_path / "a", "jsonl", rows))
    tags = [("../x.jpg", ["b"]), ("0.jpg", ["a"]), ("0.jpg", ["b"]), ("2.jpg", ["a"]), ("sub/1.PNG", ["a"])]
    assert [(row["url"], row["tags"]) for row in found] == tags


def test_missing_columns_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column file_name.*metadata\.csv.*it has name, tags"):
        read(folder(tmp_path / "a", "csv", [{"name": "0.jpg", "tags": "x"}]))
    with pytest.raises(InputError, match=r"no column 'tags'.*the metadata has file_name, text"):
        read(folder(tmp_path / "b", "parquet", [{"file_name": "0.jpg", "text": "a cat"}]))
