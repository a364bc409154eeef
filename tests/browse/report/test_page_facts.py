"""All that the page shows, and what is left where a part cannot be read."""

from pathlib import Path

import pytest

from tagmill.browse.report.page_facts import page_facts
from tagmill.shards import Corpus
from tests.browse.worded import key_of, make_worded, take_down_sample


def test_groups_unite_the_tags_of_all_rows(tmp_path: Path) -> None:
    facts = page_facts(make_worded(tmp_path))
    groups = {group.sample.key: group for group in facts.groups}
    assert set(groups) == {key_of(0), key_of(1), key_of(5)}
    assert groups[key_of(5)].tags == ("tag5", "", "near0", "near1") and groups[key_of(5)].copies == 2
    assert not facts.warnings[1:], "only the warning of the report"


def test_bands_go_from_the_most_to_the_least_frequent(tmp_path: Path) -> None:
    facts = page_facts(make_worded(tmp_path))
    assert [[label.name for label in facts.bands[band]] for band in ("head", "middle", "tail")] == [
        *(["label0"], ["label1"], ["label2"])
    ]
    assert facts.images == [5, 3, 1] and facts.in_epoch == [4.0, 7.5, 0.25]
    assert all(len(label.pictures) == min(4, label.images) for labels in facts.bands.values() for label in labels)


def test_of_a_sample_that_is_taken_down_nothing_is_left(tmp_path: Path) -> None:
    facts = page_facts(take_down_sample(make_worded(tmp_path), 1))
    shown = [sample.key for labels in facts.bands.values() for label in labels for sample in label.pictures]
    assert key_of(1) not in shown and key_of(1) not in {group.sample.key for group in facts.groups}


@pytest.mark.parametrize(
    "name", ["rejects/000000.parquet", "ledger/000000.parquet", "decontamination.parquet", "shards/000001.npy"]
)
def test_a_damaged_part_is_named_and_the_rest_is_shown(tmp_path: Path, name: str) -> None:
    corpus = make_worded(tmp_path)
    corpus.store.put(name, b"not what it was")
    facts = page_facts(Corpus.open(str(tmp_path)))
    assert len(facts.faults) == 1 and facts.run.rows == 23
    assert facts.bands or facts.groups
