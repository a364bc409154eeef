"""Parts of sets."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards import ConfigError, InputError
from tagmill.transfer.sets.labelled_set import Example, SetClass
from tagmill.transfer.sets.splits import divide, divide_set, k_folds
from tests.transfer.drawn_set import DrawnSet

ROWS = st.lists(st.tuples(st.integers(-1, 3), st.sampled_from(["", "", "a", "b", "c"])), min_size=5, max_size=40)
WEIGHTS = st.lists(st.integers(1, 9), min_size=2, max_size=4)


def columns(rows: list[tuple[int, str]]) -> tuple[list[str], list[int], list[str]]:
    return [f"key {n}" for n in range(len(rows))], [label for label, _ in rows], [group for _, group in rows]


@settings(max_examples=50)
@given(ROWS, WEIGHTS, st.integers(0, 9), st.randoms(use_true_random=False))
def test_a_group_is_in_one_part_whatever_the_order_of_rows(rows, weights, seed, random) -> None:  # type: ignore[no-untyped-def]
    keys, labels, groups = columns(rows)
    if len({group or key for key, group in zip(keys, groups, strict=True)}) < len(weights):
        with pytest.raises(InputError, match="images or groups for"):
            divide(keys, labels, groups, weights, seed)
        return
    parts = divide(keys, labels, groups, weights, seed)
    assert set(parts.tolist()) <= {*range(len(weights))}
    of_group = defaultdict[str, set[int]](set)
    for group, part in zip(groups, parts.tolist(), strict=True):
        of_group[group].add(part)
    assert all(len(found) == 1 for group, found in of_group.items() if group)
    order = [*range(len(rows))]
    random.shuffle(order)
    again = divide([keys[i] for i in order], [labels[i] for i in order], [groups[i] for i in order], weights, seed)
    assert again.tolist() == parts[order].tolist()


@settings(max_examples=50)
@given(st.lists(st.integers(-1, 3), min_size=5, max_size=60), st.integers(2, 5), st.integers(0, 9))
def test_folds_have_as_many_of_each_class_and_as_many_in_all(labels: list[int], folds: int, seed: int) -> None:
    keys, labels, groups = columns([(label, "") for label in labels])
    found = k_folds(keys, labels, groups, folds, seed)
    for chosen in (np.array(labels) == label for label in {*labels}):
        counts = np.bincount(found[chosen], minlength=folds)
        assert counts.max() - counts.min() <= 1
    counts = np.bincount(found, minlength=folds)
    assert counts.max() - counts.min() <= 1


@settings(max_examples=50)
@given(st.lists(st.integers(-1, 3), min_size=5, max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_two_parts_differ_from_their_share_by_less_than_one_image(labels: list[int], one: int, other: int) -> None:
    keys, labels, groups = columns([(label, "") for label in labels])
    found = divide(keys, labels, groups, [one, other])
    for label, count in Counter(labels).items():
        first = int((found[np.array(labels) == label] == 0).sum())
        assert abs(first - count * one / (one + other)) < 1


def test_the_parts_of_a_seed_stay_what_they_were() -> None:
    keys, labels, groups = columns([(n % 2, "g" if n in (3, 5, 6) else "") for n in range(12)])
    assert k_folds(keys, labels, groups, 3).tolist() == GOLDEN
    others = {tuple(k_folds(keys, labels, groups, 3, seed).tolist()) for seed in range(20)}
    assert len(others) > 10


GOLDEN = [1, 1, 0, 2, 0, 2, 2, 1, 1, 0, 2, 0]


def test_a_group_counts_for_its_commonest_label() -> None:
    keys, labels, groups = columns([(0, "g"), (0, "g"), (1, "g"), (0, "h"), (0, "h"), (1, "i"), (1, "j")])
    found = divide(keys, labels, groups, [1, 1]).tolist()
    assert found[0] != found[3] and found[5] != found[6]


@pytest.mark.parametrize("weights", [[], [1], [1, 0], [2, -1]])
def test_weights_that_are_no_parts(weights: list[int]) -> None:
    with pytest.raises(ConfigError, match="parts of weights"):
        divide(["a", "b"], [0, 1], ["", ""], weights)


def test_an_image_of_several_labels_counts_for_the_rarest() -> None:
    examples = [Example(f"{n}", (0,)) for n in range(20)]
    examples += [Example(f"both {n}", (0, 1)) for n in range(10)] + [Example("none", ())]
    made = DrawnSet("made", "here", (SetClass("a"), SetClass("b")), examples, "0" * 64, (None,) * 31)
    train, rest = divide_set(made, [8, 2], seed=3)
    assert sorted([*train, *rest]) == [*range(31)] and list(rest) == sorted(rest)
    assert sum(1 in examples[place].labels for place in rest) == 2
    assert sum(examples[place].labels == (0,) for place in rest) == 4
