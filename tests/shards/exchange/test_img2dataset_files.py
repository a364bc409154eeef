"""The layout of img2dataset: tar, table and counts agree, and its columns are there."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.labels.hashtags import hashtags_in
from tagmill.shards.exchange.img2dataset_files import THEIRS, Img2datasetFiles, caption_of
from tagmill.shards.exchange.samples import Block, blocks
from tagmill.shards.view import View
from tests.shards.corpora import EXTRA
from tests.shards.exchange.exports import NAMES, corpus_in, parts, wished


def written(folder: Path) -> Path:
    """Writes the second part and returns its tar."""
    corpus = corpus_in(folder)
    files, part = Img2datasetFiles(NAMES, EXTRA), parts(corpus)[1]
    assert files.write(part, blocks(corpus, View.open(corpus, "default"), part), folder / "out") == 7
    return folder / "out" / files.names(part)[0]


def test_tar_table_and_counts_have_the_same_samples(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert path.relative_to(tmp_path / "out").as_posix() == "train/00001.tar"
    rows = pq.read_table(path.with_suffix(".parquet")).to_pylist()
    found = list(webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False))
    for number, row, each in zip(range(5, 12), rows, found, strict=True):
        wanted = wished(number)
        assert each["__key__"] == row["key"] == wanted.key
        assert each["jpg"] == wanted.image and each["txt"].decode() == row["caption"] == wanted.caption
        assert json.loads(each["json"]) == row
        assert (row["status"], row["error_message"], row["exif"]) == ("success", None, "{}")
        assert (row["label_ids"], row["labels"]) == (wanted.labels, [NAMES[label] for label in wanted.labels])
        assert (row["tags"], row["url"], row["repeat"]) == (wanted.tags, wanted.url, wanted.repeat)
    stats = json.loads(path.with_name("00001_stats.json").read_bytes())
    assert stats["count"] == stats["successes"] == 7 and stats["status_dict"] == {"success": 7}


def test_columns_of_img2dataset_come_first(tmp_path: Path) -> None:
    schema = pq.read_schema(written(tmp_path).with_suffix(".parquet"))
    assert schema.names[: len(THEIRS)] == list(THEIRS)
    assert schema.names.count("caption") == 1 and schema.names[-1] == "score"


def test_without_a_caption_the_tags_are_the_caption(tmp_path: Path) -> None:
    corpus = corpus_in(tmp_path)
    files = Img2datasetFiles(NAMES, pa.schema([]))
    (block,) = blocks(corpus, View.open(corpus, "default"), parts(corpus)[0])
    bare = Block(block.facts.drop_columns(["caption", "score"]), block.images, block.labels, block.repeats)
    assert files.table(bare)["caption"].to_pylist() == [f"#bear #tag{number}" for number in range(5)]


def test_a_number_that_json_does_not_have_is_null(tmp_path: Path) -> None:
    corpus = corpus_in(tmp_path)
    files, part = Img2datasetFiles(NAMES, EXTRA), parts(corpus)[0]
    (block,) = blocks(corpus, View.open(corpus, "default"), part)
    scores = pa.array([float("nan"), float("inf"), 1.0, None, 2.0])
    place = block.facts.column_names.index("score")
    odd = Block(block.facts.set_column(place, "score", scores), block.images, block.labels, block.repeats)
    files.write(part, [odd], tmp_path / "out")
    found = webdataset.WebDataset(str(tmp_path / "out/train/00000.tar"), shardshuffle=False, empty_check=False)
    assert [json.loads(each["json"])["score"] for each in found] == [None, None, 1.0, None, 2.0]


@given(st.lists(st.text("abcé", min_size=1, max_size=5), max_size=5))
def test_ingest_reads_the_tags_from_a_caption_that_was_made_of_them(tags: list[str]) -> None:
    assert hashtags_in(caption_of(tags)) == tags


@pytest.mark.parametrize(
    ("tags", "caption"), [(["#a", "b"], "#a #b"), (["brown bear", "c"], "brown bear #c"), ([], "")]
)
def test_a_tag_with_spaces_is_no_hashtag(tags: list[str], caption: str) -> None:
    assert caption_of(tags) == caption
