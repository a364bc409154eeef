"""After a commit each view has an index that was made for it; a large corpus is not read unasked."""

import tempfile
from pathlib import Path

import pytest

from tagmill.browse.search.label_index import SEARCH_FILE, lookup
from tagmill.browse.search.snapshot import Snapshot
from tagmill.browse.search.view_indexes import index_views
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.manifest import Corpus
from tagmill.shards.purge import record
from tagmill.shards.takedown import SAMPLE, Row
from tests.shards.corpora import make_corpus, sample


def index_of(corpus: Corpus) -> Path:
    (found,) = Path(corpus.store.url, "views").rglob(SEARCH_FILE)
    return found


def test_a_view_is_indexed_once_and_again_where_its_index_is_broken(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    assert index_views(corpus.store.url) == ["default"]
    assert index_views(corpus.store.url) == []
    whole = index_of(corpus).read_bytes()
    index_of(corpus).write_bytes(whole[:100])
    assert index_views(corpus.store.url) == ["default"] and index_of(corpus).read_bytes() == whole


def test_an_index_of_another_view_is_replaced(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    other = make_corpus(str(tmp_path / "other"), tmp_path / "spool", sizes=(4,))
    index_views(other.store.url)
    index_views(corpus.store.url)
    whole = index_of(corpus).read_bytes()
    index_of(corpus).write_bytes(index_of(other).read_bytes())
    assert index_views(corpus.store.url) == ["default"] and index_of(corpus).read_bytes() == whole


def test_after_a_takedown_the_index_leads_to_the_same_shards(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    index_views(corpus.store.url)
    before = lookup(Snapshot(corpus), "default", [2])
    record(corpus, [Row(kind=SAMPLE, at="now", shard="000000", ordinal=2, value=sample(2).record.key, by="key")])
    after = Snapshot(Corpus.open(corpus.store.url))
    assert index_views(corpus.store.url) == [] and before is not None and lookup(after, "default", [2]) == before


def test_a_corpus_of_many_shards_is_left_for_the_command_that_says_how_far_it_is(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    with pytest.raises(ConfigError, match=r"3 shards take long to read.*browse --index"):
        index_views(corpus.store.url, most_shards=2)
    assert index_views(corpus.store.url, most_shards=3) == ["default"]
    assert index_views(corpus.store.url, most_shards=0) == []


def test_labels_that_cannot_be_read_are_an_error_and_leave_no_index(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    next(Path(corpus.store.url, "views").rglob("000001.labels.npy")).unlink()
    with pytest.raises(CorpusError, match=r"000001\.labels\.npy"):
        index_views(corpus.store.url)
    with tempfile.TemporaryDirectory() as empty, pytest.raises(CorpusError, match="no corpus here"):
        index_views(empty)
    assert not list(Path(corpus.store.url).rglob(SEARCH_FILE))
