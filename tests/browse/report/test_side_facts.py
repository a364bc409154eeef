"""Examples, groups and hosts from the tables of rejects and of the ledger."""

from pathlib import Path

from tagmill.browse.report.side_facts import MAX_EXAMPLES, ledger_facts, reject_facts
from tagmill.browse.takedown_rules import ForbiddenRows
from tagmill.shards import Corpus
from tests.browse.worded import DAMAGED, key_of, make_worded, take_down_sample, url_of


def test_rejects_are_counted_with_examples_and_numbers_only_of_forbidden_ones(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    found = reject_facts(corpus, ForbiddenRows.of(corpus))
    assert found.counts == {
        "duplicate": 4,
        "near_duplicate": 2,
        "blocked": 1,
        "taken_down": 1,
        DAMAGED: 5,
        "evaluation": 1,
    }
    assert len(found.examples[DAMAGED]) == MAX_EXAMPLES and not {"blocked", "taken_down"} & set(found.examples)
    assert {row.url for row in found.examples[DAMAGED]} < {url_of(130 + number) for number in range(5)}
    assert {key: [row.row_id for row in rows] for key, rows in found.members.items()} == {
        key_of(0): [100, 102],
        key_of(1): [101, 103],
        key_of(5): [110, 111],
    }
    assert found.sizes == {key_of(0): 2, key_of(1): 2, key_of(5): 2} and (found.tables, found.of_tables) == (1, 1)


def test_copies_of_a_sample_that_is_taken_down_are_not_shown(tmp_path: Path) -> None:
    corpus = take_down_sample(make_worded(tmp_path), 1)
    assert set(reject_facts(corpus, ForbiddenRows.of(corpus)).members) == {key_of(0), key_of(5)}


def test_tables_of_a_run_that_was_not_committed_are_not_read(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    for folder in ("rejects", "ledger"):
        corpus.store.put(f"{folder}/extend-000001-000000.parquet", b"not a table")
    corpus = Corpus.open(str(tmp_path))
    assert reject_facts(corpus, ForbiddenRows()).of_tables == 1 == ledger_facts(corpus, ForbiddenRows()).of_tables


def test_hosts_are_counted_with_their_images_and_seconds(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    found = ledger_facts(corpus, ForbiddenRows())
    assert found.num_hosts == 3 and [each.rows for each in found.hosts] == sorted(
        (each.rows for each in found.hosts), reverse=True
    )
    assert sum(each.rows for each in found.hosts) == 23 and sum(each.samples for each in found.hosts) == 15
    assert {each.seconds for each in found.hosts} == {0.5}
