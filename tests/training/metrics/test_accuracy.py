"""Tests accuracies against counting by hand, over images with any labels, in any batches and parts."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline import Labels
from tagmill.shards import Vocabulary
from tagmill.shards.vocabulary import Label
from tagmill.training.metrics import accuracy
from tagmill.training.metrics.accuracy import Tally, best_of, thirds_of


def vocabulary_of(counts: list[int]) -> Vocabulary:
    return Vocabulary(tuple(Label(n, f"label {n}", (f"n{n:08d}",), (), {}, count) for n, count in enumerate(counts)))


@st.composite
def judged_images(draw: st.DrawFn) -> tuple[list[int], list[list[int]], list[list[int]]]:
    """Draws training counts of L labels, the labels of some images (none for a hole), and the order of their scores."""
    number = draw(st.integers(1, 14))
    counts = draw(st.lists(st.integers(0, 5), min_size=number, max_size=number))
    images = draw(st.lists(st.sets(st.integers(0, number - 1), max_size=4), max_size=9))
    orders = [draw(st.permutations(range(number))) for _ in images]
    return counts, [sorted(own) for own in images], [list(order) for order in orders]


def logits_of(orders: list[list[int]], number: int) -> torch.Tensor:
    """Returns scores [b, L] whose order, best first, is the given one."""
    found = torch.zeros(len(orders), number)
    for row, order in enumerate(orders):
        found[row, order] = torch.arange(number, 0, -1, dtype=torch.float32)
    return found


def by_hand(counts: list[int], images: list[list[int]], orders: list[list[int]]) -> dict[str, Any]:
    labels, rows = range(len(counts)), [(own, order) for own, order in zip(images, orders, strict=True) if own]
    if not rows:
        return {}
    right: dict[int, list[bool]] = {label: [order[0] in own for own, order in rows if label in own] for label in labels}
    found: dict[int, list[bool]] = {
        label: [label in order[:5] for own, order in rows if label in own] for label in labels
    }

    def mean(each: dict[int, list[bool]], some: Any) -> float:
        return float(np.mean([np.mean(each[label]) for label in some if each[label]]))

    result: dict[str, Any] = {
        f"top{k}": np.mean([bool(set(order[:k]) & set(own)) for own, order in rows]) for k in (1, 5)
    }
    for k in (1, 5, 10):
        most = min(k, len(counts))
        result[f"precision_at_{k}"] = np.mean([len(set(order[:k]) & set(own)) / most for own, order in rows])
    result["mean_class_accuracy"] = mean(right, labels)
    common = min(labels, key=lambda label: (-counts[label], label))
    result["majority"] = np.mean([common in own for own, _ in rows])
    result["chance"] = np.mean([len(own) / len(counts) for own, _ in rows])
    order = sorted(labels, key=lambda label: (-counts[label], label))
    if len(counts) >= 3 and max(counts):
        third = len(counts) / 3
        result["labels"] = {}
        for place, name in enumerate(("head", "middle", "tail")):
            some = [label for at, label in enumerate(order) if int(place * third) <= at < int((place + 1) * third)]
            own: dict[str, Any] = {"labels": len(some), "labels_evaluated": sum(bool(right[label]) for label in some)}
            own["held_out_images"] = sum(len(right[label]) for label in some)
            own["training_images"] = [min(counts[label] for label in some), max(counts[label] for label in some)]
            if own["labels_evaluated"]:
                own |= {"mean_class_accuracy": mean(right, some), "recall_at_5": mean(found, some)}
            result["labels"][name] = own
    return result


@settings(max_examples=150, deadline=None)
@given(drawn=judged_images(), cuts=st.lists(st.integers(0, 9), max_size=2), holes=st.integers(0, 3))
def test_accuracies_equal_counting_by_hand(drawn: Any, cuts: list[int], holes: int) -> None:
    counts, images, orders = drawn
    tally, ends = Tally(len(counts), "cpu"), [0, *sorted(min(cut, len(images)) for cut in cuts), len(images)]
    for start, end in pairwise(ends):
        labels = Labels.of([np.array(own, np.int32) for own in images[start:end]])
        tally.add(best_of(logits_of(orders[start:end], len(counts))), labels)
    tally.add_holes(torch.tensor(holes))
    found, wanted = tally.result(vocabulary_of(counts)), by_hand(counts, images, orders)
    if not wanted:
        assert found == {}
        return
    assert found.pop("evaluated") == {"pictures": sum(map(bool, images)), "holes": holes}
    assert found.pop("majority_label") == f"label {min(range(len(counts)), key=lambda n: (-counts[n], n))}"
    thirds, wanted_thirds = found.pop("labels", {}), wanted.pop("labels", {})
    assert found == pytest.approx(wanted)
    assert thirds.keys() == wanted_thirds.keys()
    for name, own in wanted_thirds.items():
        assert thirds[name].pop("training_images") == own.pop("training_images")
        assert thirds[name] == pytest.approx(own)


@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_thirds_are_every_label_once_in_the_order_of_their_counts(counts: list[int]) -> None:
    thirds = thirds_of(vocabulary_of(counts))
    if len(counts) < 3 or not any(counts):
        assert thirds == {}
        return
    order = [label for ids in thirds.values() for label in ids]
    assert sorted(order) == list(range(len(counts)))
    assert [counts[label] for label in order] == sorted(counts, reverse=True)
    sizes = [len(ids) for ids in thirds.values()]
    assert max(sizes) - min(sizes) <= 1


def test_counts_of_all_processes_are_added_in_one_reduction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum over two tallies is the tally of both: what a reduction adds are counts, never shares."""
    vocabulary, orders = vocabulary_of([3, 2, 1]), [[0, 1, 2], [2, 1, 0], [1, 0, 2]]
    parts = [Tally(3, "cpu"), Tally(3, "cpu"), Tally(3, "cpu")]
    for number, own in enumerate(([0], [0, 1], [2])):
        labels = Labels.of([np.array(own, np.int32)])
        for tally in (parts[number % 2], parts[2]):
            tally.add(best_of(logits_of(orders[number : number + 1], 3)), labels)
    given_to = list[torch.Tensor]()

    def all_reduce(values: torch.Tensor) -> None:
        given_to.append(values.clone())
        if len(given_to) == 2:
            values += given_to[0]

    monkeypatch.setattr(accuracy.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(accuracy.dist, "all_reduce", all_reduce)
    parts[0].result(vocabulary)
    together = parts[1].result(vocabulary)
    monkeypatch.setattr(accuracy.dist, "is_initialized", lambda: False)
    assert together == parts[2].result(vocabulary) and len(given_to) == 2
