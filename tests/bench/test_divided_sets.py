"""Real sets, divided: no emoji is in two folds, and no judged image is seen before."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from tagmill.bench.divided_sets import digits, emoji_by_subgroup
from tests.transfer.drawn_set import drawn_set


def emoji_table(folder: Path) -> Path:
    """Writes 12 emoji of two makers in each of four subgroups."""
    drawn = drawn_set(4, 24, side=16)
    with (folder / "both.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group", "name", "short_name"))
        for place, image in enumerate(drawn.images):
            number, maker = place // 4, "google" if place // 4 < 12 else "twitter"
            name = f"{maker}-{place % 4}-{number % 12}.png"
            (folder / name).write_bytes(image or b"")
            subgroup = ("tool", "drink", "sport", "country-flag")[place % 4]
            writer.writerow((name, subgroup, f"{place % 4}-{number % 12}", "", ""))
    return folder / "both.csv"


def test_emoji_are_divided_in_whole_and_batch_statistics_see_other_ones(tmp_path: Path) -> None:
    found = emoji_by_subgroup(emoji_table(tmp_path), ("tool", "drink"), 10)
    assert [each.name for each in found.images.classes] == ["drink", "tool"]
    assert len(found.images) == len(found.fold) == 48
    folds = defaultdict[str, set[int]](set)
    for example, fold in zip(found.images.examples, found.fold.tolist(), strict=True):
        name = found.images.classes[example.labels[0]].name
        assert {"0": "tool", "1": "drink"}[example.group[0]] == name
        folds[example.group].add(fold)
    assert len(folds) == 24 and all(len(each) == 1 for each in folds.values())
    assert set(found.fold.tolist()) == {0, 1, 2, 3, 4}
    assert len(found.unjudged) == 10 and {each.group[0] for each in found.unjudged.examples} == {"2"}  # no flags
    assert found.images.read([0]) == [(tmp_path / found.images.examples[0].key).read_bytes()]


def test_digits_that_are_judged_are_neither_learned_from_nor_in_batch_statistics(tmp_path: Path) -> None:
    labels = np.arange(200) % 10
    images = np.random.default_rng(0).integers(0, 256, (200, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "digits.npz", images=images, labels=labels)
    found = digits(tmp_path / "digits.npz", (1, 2, 7), 40)
    judged = {each.key for each, fold in zip(found.images.examples, found.fold, strict=True) if fold == 0}
    assert (found.fold == -1).sum() == 20 and len(judged) == 40
    assert np.bincount([each.labels[0] for each in found.images.examples]).tolist() == [6] * 10
    assert len(found.unjudged) == 40 and not judged & {each.key for each in found.unjudged.examples}
    train, test = found.first_fold()
    assert {each.key for each in test.examples} == judged and len(train) == 20
