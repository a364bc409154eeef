"""Tests sets of some images of another set."""

from dataclasses import replace

import numpy as np
import pytest

from tagmill.shards import ConfigError, InputError
from tagmill.transfer.finetune.set_part import part_of, with_one_label
from tagmill.transfer.sets.labelled_set import Example
from tests.transfer.drawn_set import drawn_set

WHOLE = drawn_set(3, 4)


def test_a_part_has_the_images_and_labels_of_its_places() -> None:
    part = part_of(WHOLE, np.array([7, 2, 11]), "three")
    assert part.name == "three" and part.classes == WHOLE.classes and len(part) == 3
    assert [example.key for example in part.examples] == [WHOLE.examples[place].key for place in (7, 2, 11)]
    assert part.read([2, 0]) == [WHOLE.images[11], WHOLE.images[7]]
    inner = part_of(part, np.array([1]))
    assert inner.read([0]) == [WHOLE.images[2]]


def test_other_places_have_another_digest_and_all_of_them_are_the_set() -> None:
    found = [part_of(WHOLE, np.array(places)).digest for places in ([0, 1], [1, 0], [0, 2], [0])]
    assert len({*found, WHOLE.digest}) == 5
    assert part_of(WHOLE, np.array([0, 1])).digest == found[0]
    assert part_of(WHOLE, np.arange(12)) is WHOLE


@pytest.mark.parametrize("places", [[12], [-1], [3, 3]])
def test_places_that_are_none_are_refused(places: list[int]) -> None:
    with pytest.raises(ConfigError, match="places from"):
        part_of(WHOLE, np.array(places))


def test_images_without_one_label_are_left_out_and_counted() -> None:
    bare, both = Example("bare", ()), Example("both", (0, 2))
    found, skipped = with_one_label(replace(WHOLE, examples=(bare, *WHOLE.examples[1:11], both)))
    assert [example.key for example in found.examples] == [example.key for example in WHOLE.examples[1:11]]
    assert skipped == {"no_label": 1, "several_labels": 1}
    with pytest.raises(InputError, match="one label"):
        with_one_label(replace(WHOLE, examples=(bare, both)))
