"""The card of a Parquet export: its front matter names the files of each split, whatever the corpus is called."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tagmill.shards.exchange.parquet_card import parquet_card
from tagmill.shards.manifest import Corpus
from tests.shards.exchange.exports import corpus_in


@pytest.mark.parametrize("name", ["web", 'a"\n---\n<script>', "\u202e\x1b[31m", "x" * 100])
def test_the_front_matter_names_the_splits_and_nothing_breaks_out_of_it(tmp_path: Path, name: str) -> None:
    corpus = corpus_in(tmp_path)
    named = Corpus(corpus.store, replace(corpus.file, name=name))
    text = parquet_card(named, "default", {"holdout", "train"}, 15).decode()
    _, head, rest = text.split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    assert json.loads(fields["pretty_name"]) == name
    files = json.loads(fields["configs"])[0]["data_files"]
    assert [(each["split"], each["path"]) for each in files] == [
        ("train", "data/train-*.parquet"),
        ("holdout", "data/holdout-*.parquet"),
    ]
    assert "15 samples" in rest
