"""What is refused of a training and a test set."""

from dataclasses import replace

import pytest

from tagmill.shards import ConfigError
from tagmill.transfer.sets.labelled_set import SetClass
from tagmill.transfer.sets.set_pair import check_pair
from tests.transfer.drawn_set import drawn_set


def test_two_parts_of_one_set_are_taken() -> None:
    check_pair(drawn_set(2, 1), drawn_set(2, 1, seed=1))


def test_what_makes_no_run_is_named() -> None:
    good = drawn_set(2, 2)
    other = replace(good, classes=(good.classes[0], SetClass("other")))
    for train, test, words in (
        (good, drawn_set(3, 1), "2 classes and the test set 3"),
        (good, other, "class 1 is 'class-1' in the training set and 'other'"),
        (drawn_set(1, 2), drawn_set(1, 2), "a set of 1 classes"),
        (good, replace(good, examples=()), "without images"),
        (good, replace(good), "are the same images"),
    ):
        with pytest.raises(ConfigError, match=words):
            check_pair(train, test)
