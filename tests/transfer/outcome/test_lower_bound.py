"""Tests of accuracy with images that training has seen, on a corpus whose pairs and repeats are known."""

from pathlib import Path

import numpy as np
import pytest

from tagmill.ingest.dedup.decontamination import LEAKS, MATCHES
from tagmill.shards import ConfigError, Corpus, CorpusError
from tagmill.shards.formats.parquet import table_bytes
from tagmill.transfer.outcome import lower_bound as module
from tagmill.transfer.outcome.lower_bound import PAIRS, SeenImages, lower_bound, seen_images
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.sets.labelled_set import SetClass
from tests.browse.worded import REPEATS, key_of, make_worded, take_down_sample

REJECT = "f" * 32


def paired(folder: Path, *pairs: tuple[str, str], name: str = "val") -> Corpus:
    """A corpus with pairs (evaluation image, key)."""
    corpus = make_worded(folder)
    facts = {"set": name, "distance": 3, "row_id": 1, "same_bytes": False}
    rows = [{**facts, "evaluation_name": image, "key": key} for image, key in pairs]
    corpus.store.put("decontamination.parquet", table_bytes(rows, MATCHES))
    return corpus


def judged(keys: list[str], right: list[bool]) -> Outcome:
    truth = np.zeros(len(keys), np.int64)
    top = np.where(np.array(right, bool)[:, None], [[0, 1]], [[1, 0]])
    return Outcome("linear", "m", "val", (SetClass("a"), SetClass("b")), np.array(keys, np.str_), truth, top)


def test_the_tables_have_the_names_that_ingest_gives() -> None:
    assert PAIRS == LEAKS


def test_only_pairs_with_a_sample_that_the_view_trains_on_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", 2)  # several blocks a shard
    corpus = paired(tmp_path, *((f"{n}.jpg", key_of(n)) for n in range(9)), ("r.jpg", REJECT), ("0.jpg", REJECT))
    seen = seen_images(corpus, "default", "val")
    assert REPEATS.count(0) == 1 and seen.names == {f"{n}.jpg" for n in range(9) if REPEATS[n]}
    assert seen.pairs == 11 and seen.trained_pairs == 8 and "r.jpg" in seen.listed and "2.jpg" in seen.listed


def test_a_sample_that_was_taken_down_counts(tmp_path: Path) -> None:
    corpus = take_down_sample(paired(tmp_path, ("1.jpg", key_of(1))), 1)
    assert seen_images(corpus, "default", "val").names == {"1.jpg"}


def test_both_numbers_and_accuracy_without_the_seen_images() -> None:
    seen = SeenImages(frozenset({"a", "b", "z"}), frozenset({"a", "b", "z", "c"}), 5, 3)
    found = lower_bound(judged(list("abcdef"), [True, False, True, True, False, True]), seen)
    assert (found.images, found.correct, found.seen, found.seen_correct, found.not_in_outcome) == (6, 4, 2, 1, 1)
    assert found.accuracy == 4 / 6 and found.lower == 3 / 6 and found.deduplicated == 3 / 4
    assert lower_bound(judged(["a"], [True]), seen).deduplicated is None


def test_without_seen_images_all_three_are_equal() -> None:
    found = lower_bound(judged(["a", "b"], [True, False]), SeenImages(frozenset(), frozenset(), 0, 0))
    assert found.accuracy == found.lower == found.deduplicated == 0.5


def test_a_corpus_that_was_not_compared_is_refused(tmp_path: Path) -> None:
    corpus = paired(tmp_path, ("a", key_of(1)))
    with pytest.raises(ConfigError, match=r"no pair of the evaluation set 'test'.*it has: val"):
        seen_images(corpus, "default", "test")
    corpus.store.put("decontamination.parquet", table_bytes([], MATCHES))
    assert seen_images(corpus, "default", "val") == SeenImages(frozenset(), frozenset(), 0, 0)  # compared: none found
    corpus.store.delete("decontamination.parquet")
    with pytest.raises(ConfigError, match="not compared with any evaluation set"):
        seen_images(corpus, "default", "val")


def test_names_of_another_set_and_broken_tables_are_refused(tmp_path: Path) -> None:
    seen = SeenImages(frozenset({"val/a"}), frozenset({"val/a"}), 1, 1)
    with pytest.raises(ConfigError, match="none of the 1 images of the pairs, such as 'val/a', is in the outcome"):
        lower_bound(judged(["a"], [True]), seen)
    with pytest.raises(ConfigError, match="without images"):
        lower_bound(judged([], []), seen)
    corpus = paired(tmp_path / "one", ("a", "no key of sixteen bytes"))
    with pytest.raises(CorpusError, match="a pair whose key is none"):
        seen_images(corpus, "default", "val")
    corpus.store.put("decontamination.parquet", b"PAR1 no table")
    with pytest.raises(CorpusError, match="not a table of pairs"):
        seen_images(corpus, "default", "val")
