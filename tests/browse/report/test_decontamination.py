"""Pairs with evaluation sets, of all runs of a corpus."""

from pathlib import Path

from tagmill.browse.report.decontamination import LEAKS, evaluation_pairs
from tagmill.browse.takedown_rules import ForbiddenRows
from tagmill.ingest.dedup import decontamination
from tests.browse.worded import key_of, make_worded, take_down_sample


def test_the_tables_have_the_names_that_ingest_gives() -> None:
    assert LEAKS == decontamination.LEAKS


def test_pairs_are_those_with_the_smallest_keys_without_forbidden_ones(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    found, total = evaluation_pairs(corpus, ForbiddenRows())
    assert total == 2 and [pair.key for pair in found] == sorted([key_of(2), "f" * 32])
    found, total = evaluation_pairs(corpus, ForbiddenRows.of(take_down_sample(corpus, 2)))
    assert total == 2 and [pair.key for pair in found] == ["f" * 32]


def test_without_evaluation_sets_there_are_none(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    corpus.store.delete("decontamination.parquet")
    assert evaluation_pairs(corpus, ForbiddenRows()) == ([], 0)
