"""Parquet files with images: rows, features of `datasets`, bounded row groups, the same bytes every time."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.shards.exchange import samples
from tagmill.shards.exchange.parquet_files import ParquetFiles
from tagmill.shards.exchange.samples import blocks
from tagmill.shards.view import View
from tests.shards.corpora import EXTRA
from tests.shards.exchange.exports import NAMES, corpus_in, parts, wished

FILES = ParquetFiles(NAMES, EXTRA, {"train": 2, "holdout": 1})


def written(folder: Path) -> Path:
    """Writes the second part and returns its file."""
    corpus = corpus_in(folder)
    part = parts(corpus)[1]
    (name,) = FILES.names(part)
    assert FILES.write(part, blocks(corpus, View.open(corpus, "default"), part), folder / "out") == part.samples == 7
    return folder / "out" / name


def test_rows_are_the_samples(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert path.relative_to(tmp_path / "out").as_posix() == "data/train-00001-of-00002.parquet"
    rows = pq.read_table(path).to_pylist()
    for number, row in zip(range(5, 12), rows, strict=True):
        wanted = wished(number)
        assert row["image"] == {"bytes": wanted.image, "path": f"{wanted.key}.jpg"}
        assert (row["key"], row["labels"], row["repeat"]) == (wanted.key, wanted.labels, wanted.repeat)
        assert (row["tags"], row["url"], row["caption"]) == (wanted.tags, wanted.url, wanted.caption)
        assert (row["width"], row["height"], row["score"]) == (100 + number, 80, number / 4)
        assert len(row["pdq"]) == 64 and row["sha256"].startswith(row["key"])


def test_features_name_every_column_with_its_type(tmp_path: Path) -> None:
    schema = pq.read_schema(written(tmp_path))
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == schema.names
    assert features["image"] == {"_type": "Image"}
    assert features["labels"] == {"feature": {"names": list(NAMES), "_type": "ClassLabel"}, "_type": "Sequence"}
    assert features["score"] == {"dtype": "float64", "_type": "Value"}
    assert schema.field("image").type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_a_vocabulary_without_labels_gives_plain_numbers() -> None:
    features = json.loads(ParquetFiles((), EXTRA, {}).schema.metadata[b"huggingface"])["info"]["features"]
    assert features["labels"] == {"feature": {"dtype": "int64", "_type": "Value"}, "_type": "Sequence"}


def test_row_groups_are_bounded_and_images_are_not_packed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "BLOCK_BYTES", 4000)
    file = pq.ParquetFile(written(tmp_path))
    groups = [file.read_row_group(number, ["image"])["image"].to_pylist() for number in range(file.num_row_groups)]
    assert len(groups) > 1
    assert all(len(group) == 1 or sum(len(each["bytes"]) for each in group) <= 4000 for group in groups)
    column = file.metadata.row_group(0).column(0)
    assert (column.path_in_schema, column.compression) == ("image.bytes", "UNCOMPRESSED")


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path / "one").read_bytes() == written(tmp_path / "two").read_bytes()


def test_a_source_column_with_the_name_of_ours_gets_another() -> None:
    schema = ParquetFiles(NAMES, pa.schema([("image", pa.string()), ("repeat", pa.int64())]), {}).schema
    assert schema.names[-2:] == ["source_image", "source_repeat"] and len(set(schema.names)) == len(schema.names)
