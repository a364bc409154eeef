"""The numbers of a corpus that its descriptions show."""

import json
from pathlib import Path

import pytest

from tagmill.shards.exchange.facts import corpus_facts
from tagmill.shards.manifest import Corpus
from tests.shards.exchange.exports import corpus_in
from tests.shards.purger import take_down


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_in(tmp_path)


def test_counts_are_those_of_the_shards_and_the_list(corpus: Corpus) -> None:
    found = corpus_facts(take_down(corpus, [("000000", 1)]))
    assert (found.samples, found.shards, found.taken_down) == (
        {"train": 12, "holdout": 3},
        {"train": 2, "holdout": 1},
        1,
    )
    assert found.bytes == sum(path.stat().st_size for path in Path(corpus.store.url, "shards").glob("*.tar"))
    assert found.views["default"].folder == corpus.file.views["default"].path.removesuffix("/view.json")


@pytest.mark.parametrize(
    ("report", "wanted"),
    [
        ({"rejects": {"timeout": 3, "blocked": 2}}, {"timeout": 3, "blocked": 2}),
        ({"rejects": {"<script>": 3, "a b": 1, "ok": 1}}, {"ok": 1}),
        ({"rejects": {"timeout": "three"}}, {}),
        ({"rejects": [1]}, {}),
        ([], {}),
    ],
)
def test_rejects_are_numbers_by_reason(corpus: Corpus, report: object, wanted: dict[str, int]) -> None:
    corpus.store.put("report.json", json.dumps(report).encode())
    assert corpus_facts(corpus).rejects == wanted


def test_without_a_report_there_are_no_rejects(corpus: Corpus) -> None:
    assert corpus_facts(corpus).rejects == {}
    corpus.store.put("report.json", b"{")
    assert corpus_facts(corpus).rejects == {}
