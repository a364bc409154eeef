"""Tests what is refused of sets before a run."""

from dataclasses import replace

import pytest

from tagmill.shards import ConfigError
from tagmill.transfer.finetune.set_checks import check_sets, vocabulary_of
from tagmill.transfer.sets.labelled_set import SetClass
from tests.transfer.drawn_set import drawn_set


def test_two_parts_of_one_set_are_taken() -> None:
    check_sets(drawn_set(2, 1), drawn_set(2, 1, seed=1))


def test_what_makes_no_run_is_named() -> None:
    good = drawn_set(2, 2)
    other = replace(good, classes=(good.classes[0], SetClass("other")))
    for train, test, words in (
        (good, drawn_set(3, 1), "2 classes and the test set 3"),
        (good, other, "class 1 is 'class-1' in the training set and 'other'"),
        (drawn_set(1, 2), drawn_set(1, 2), "a set of 1 classes"),
        (good, replace(good, examples=()), "without images"),
    ):
        with pytest.raises(ConfigError, match=words):
            check_sets(train, test)


def test_classes_are_labels_by_their_synsets_or_numbers() -> None:
    classes = (SetClass("one", "n00000001"), SetClass("two"), SetClass("a", "n00000002"), SetClass("b", "n00000002"))
    labels = vocabulary_of(classes).labels
    assert [label.name for label in labels] == ["one", "two", "a", "b"]
    assert [label.synsets for label in labels] == [("n00000001",), ("class-1",), ("class-2",), ("class-3",)]
