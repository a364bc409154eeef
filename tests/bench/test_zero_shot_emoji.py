"""Tests the demonstration on emoji: the concepts, the p-value, and that it ends in a line where data is missing."""

from pathlib import Path

import numpy as np
import pytest

from tagmill.bench.zero_shot_emoji import EMOJI, emoji_set, judged, main, permutation_p, verdict_of
from tagmill.transfer.outcome.outcome import Outcome


def test_classes_are_concepts_of_the_demo_and_emoji_are_read_by_key(tmp_path: Path) -> None:
    (tmp_path / "google").mkdir()
    (tmp_path / "google" / "1f355.png").write_bytes(b"pizza")
    found = emoji_set(tmp_path)
    assert len(found.classes) == 29 and all(each.synset for each in found.classes) and len(found) == 84
    place = next(place for place, each in enumerate(found.examples) if each.key == "google/1f355.png")
    assert found.read([place, place + 1]) == [b"pizza", None]
    assert found.classes[found.examples[place].labels[0]].name == "pizza"
    codes = [code for each in EMOJI.values() for code in each]
    assert len(set(codes)) == len(codes) == 42


def test_the_p_value_is_that_of_the_permutations() -> None:
    chance = np.random.default_rng(1)
    truth = np.repeat(np.arange(10), 4)
    assert permutation_p(truth, truth, 10, 999) == 1 / 1000
    assert permutation_p(truth, (truth + 1) % 10, 10, 999) == 1.0  # tells classes apart, and names all of them wrongly
    assert permutation_p(truth, np.full(40, -1), 10, 99) == 1.0
    values = [permutation_p(truth, chance.integers(0, 10, 40), 10, 99, seed) for seed in range(300)]
    assert np.mean(np.array(values) <= 0.05) <= 0.1 and np.mean(np.array(values) <= 0.5) <= 0.6


def test_makers_are_counted_apart() -> None:
    images = emoji_set(Path("nowhere"))
    truth = np.array([each.labels[0] for each in images.examples])
    keys = np.array([each.key for each in images.examples])
    top = np.where((np.char.startswith(keys, "google"))[:, None], truth[:, None], (truth[:, None] + 1) % 29)
    groups = np.array([each.group for each in images.examples])
    found = judged(Outcome("zero-shot", "m", "emoji", images.classes, keys, truth, top, groups=groups), 99)
    assert found["google"]["right"] == found["google"]["images"] == 42 and found["google"]["p"] == 0.01
    assert found["twitter"]["right"] == 0 and found["both makers"]["value"] == 0.5


def test_without_the_data_it_ends_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"skipped: no .*; run make demo first"):
        main(["--model", str(tmp_path / "none"), "--data", str(tmp_path)])
    with pytest.raises(SystemExit, match="run make transfer-data first"):
        main(["--model", str(tmp_path), "--data", str(tmp_path)])


def test_the_verdict_counts_how_many_p_values_there_are() -> None:
    assert verdict_of([0.01, 0.02]) == "labels mean their concepts: the largest p of 2, times their number, is 0.0400"
    assert verdict_of([0.01, 0.03]).startswith("not every way shows") and verdict_of([0.01, 0.9]).endswith("is 1.0000")
