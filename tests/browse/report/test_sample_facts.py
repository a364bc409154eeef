"""Labels before and after resampling, sizes and places of samples, by the definition."""

from pathlib import Path

import numpy as np

from tagmill.browse.report.sample_facts import EXAMPLES_OF_LABEL, SIZE_BINS, Place, sample_facts
from tagmill.shards import View
from tests.browse.worded import LABELS, REPEATS, key_of, make_worded, take_down_sample


def test_counts_are_those_of_the_definition(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    found = sample_facts(corpus, View.open(corpus, "default"), [key_of(0), key_of(6), "0" * 32])
    assert found.before.tolist() == [LABELS.count(label) for label in range(4)]
    expected = np.bincount(LABELS, np.array(REPEATS) / 65536, minlength=4)
    assert found.after.tolist() == expected.tolist()
    assert found.places == {key_of(0): Place(0, 0), key_of(6): Place(1, 1)}
    assert found.samples == found.train_samples == 9 and (found.shards, found.of_shards) == (2, 2)
    assert dict(zip(SIZE_BINS, found.original.tolist(), strict=True))[256] == 9
    assert dict(zip(SIZE_BINS, found.stored.tolist(), strict=True))[32] == 9


def test_examples_of_a_label_are_those_with_the_smallest_keys(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    found = sample_facts(corpus, View.open(corpus, "default"), [])
    for label in range(3):
        own = sorted((number for number in range(9) if LABELS[number] == label), key=key_of)[:EXAMPLES_OF_LABEL]
        assert found.labelled[label] == [Place(number // 5, number % 5) for number in own]


def test_samples_that_are_taken_down_are_in_no_count(tmp_path: Path) -> None:
    corpus = take_down_sample(make_worded(tmp_path), 1)
    found = sample_facts(corpus, View.open(corpus, "default"), [key_of(1), key_of(2)])
    assert found.samples == 8 and found.before[1] == LABELS.count(1) - 1 and set(found.places) == {key_of(2)}
    assert Place(0, 1) not in found.labelled[1]


def test_a_shard_that_cannot_be_read_is_named_and_the_others_are_counted(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    (tmp_path / "shards/000000.parquet").write_bytes(b"not a table")
    found = sample_facts(corpus, None, [key_of(8)])
    assert found.samples == 4 and found.shards == 1 and found.places == {key_of(8): Place(1, 3)}
    (fault,) = found.faults
    assert fault.startswith("000000: ")
