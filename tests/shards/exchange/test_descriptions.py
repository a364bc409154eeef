"""Descriptions are written after commits, leave a person's card alone, and never fail a command."""

import logging
from pathlib import Path

import pytest

from tagmill.shards.errors import StoreError
from tagmill.shards.exchange.card import CARD, MARK
from tagmill.shards.exchange.croissant import CROISSANT
from tagmill.shards.exchange.descriptions import describe_commit, write_descriptions
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.store import Store
from tests.shards.exchange.exports import corpus_in
from tests.shards.purger import take_down


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_in(tmp_path)


def test_they_are_of_the_present_generation_and_the_same_every_time(corpus: Corpus) -> None:
    assert write_descriptions(corpus.store.url) == [CROISSANT, CARD]
    before = [corpus.store.read(name) for name in (CROISSANT, CARD)]
    write_descriptions(corpus.store.url)
    assert [corpus.store.read(name) for name in (CROISSANT, CARD)] == before
    take_down(corpus, [("000000", 1)])
    write_descriptions(corpus.store.url)
    after = [corpus.store.read(name) for name in (CROISSANT, CARD)]
    assert b"1 of them are taken down" in after[0] and b"Taken down: 1 samples" in after[1]


def test_a_card_without_the_mark_stays(corpus: Corpus) -> None:
    corpus.store.put(CARD, b"mine")
    assert write_descriptions(corpus.store.url) == [CROISSANT] and corpus.store.read(CARD) == b"mine"
    corpus.store.put(CARD, b"mine\n" + MARK.encode())
    assert write_descriptions(corpus.store.url) == [CROISSANT, CARD]


def test_a_failure_is_a_warning(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(self: Store, name: str, source: bytes) -> None:
        raise StoreError("refused", name, "ask")

    monkeypatch.setattr(Store, "put", failing)
    with caplog.at_level(logging.WARNING):
        describe_commit(corpus.store.url)
    assert "could not be written" in caplog.text and "tagmill corpus card" in caplog.text
