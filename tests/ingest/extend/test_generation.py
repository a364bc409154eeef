"""What keeps a corpus's views from getting a next generation is found before a run writes anything."""

from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.extend.generation import check_views, kept
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import View
from tests.ingest.tagged import make

TAGS = [["brownbear"], ["#jaguar"], ["cat", "dog"]]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    url = make(tmp_path, [TAGS * 2]).corpus.store.url
    (tmp_path / "stop").write_text("cat\n")
    view(ViewConfig(corpus=url, name="default", min_count=2, processes=1))
    view(ViewConfig(corpus=url, name="mine", stop=str(tmp_path / "stop"), processes=1))
    return Corpus.open(url)


def config(corpus: Corpus, **changes: Any) -> IngestConfig:
    return IngestConfig(input=("more.parquet",), output=corpus.store.url, extend=True, **changes)


@pytest.mark.parametrize(
    "flags", [{}, {"min_count": 2}, {"vocabulary": "nouns"}, {"max_labels": 16}, {"recount": True}]
)
def test_flags_that_are_left_out_or_agree_change_no_recipe(corpus: Corpus, flags: dict[str, Any]) -> None:
    check_views(config(corpus, **flags), corpus)
    assert kept(config(corpus, **flags), corpus) == ["default", "mine"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"min_count": 3}, "min_count 2 and keeps it, not 3"),
        ({"top_k": 5}, "top_k None and keeps it, not 5"),
        ({"vocabulary": "in1k"}, "vocabulary 'nouns' and keeps it"),
        ({"rule": "first"}, "rule 'merge' and keeps it"),
        ({"short_tokens": True}, "short_tokens False and keeps it"),
        ({"drop_views": ("mine", "yours")}, "no view 'yours' to drop"),
    ],
)
def test_what_a_view_would_not_follow_is_refused(corpus: Corpus, flags: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        check_views(config(corpus, **flags), corpus)
    assert raised.value.remedy


def test_a_view_without_its_files_may_be_left_behind(corpus: Corpus) -> None:
    View.open(corpus, "mine").store.delete("stop.tsv")
    with pytest.raises(ConfigError, match="view 'mine' cannot be made again: its file of stop is not there"):
        check_views(config(corpus), corpus)
    check_views(config(corpus, drop_views=("mine",)), corpus)
    assert kept(config(corpus, drop_views=("mine",)), corpus) == ["default"]


def test_a_file_of_the_same_classes_is_the_vocabulary_that_the_view_has(corpus: Corpus, tmp_path: Path) -> None:
    """What the view keeps is in its own folder; a file agrees if it lists the same synsets, whatever it calls them."""
    listed, other = tmp_path / "labels.txt", tmp_path / "other.txt"
    listed.write_text("n02132136\nn02084071\n")
    other.write_text("n02084071\nn02132136\n")
    view(ViewConfig(corpus=corpus.store.url, name="default", vocabulary=str(listed), processes=1))
    corpus = Corpus.open(corpus.store.url)
    check_views(config(corpus, vocabulary=str(listed)), corpus)
    check_views(config(corpus), corpus)
    with pytest.raises(ConfigError, match="and keeps it"):
        check_views(config(corpus, vocabulary=str(other)), corpus)
