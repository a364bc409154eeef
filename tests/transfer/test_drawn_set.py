"""The drawn set of the tests is what it says."""

import io

import pytest
from PIL import Image, UnidentifiedImageError

from tests.transfer.drawn_set import BROKEN, drawn_set


def test_a_drawn_set_is_the_same_each_time_and_another_seed_has_other_images() -> None:
    one, again, other = drawn_set(), drawn_set(), drawn_set(seed=1)
    assert one == again and one.digest != other.digest
    assert one.classes == other.classes and not set(one.images) & set(other.images)
    assert [example.labels for example in one.examples[:4]] == [(0,), (1,), (2,), (0,)]


def test_some_images_are_broken_or_missing_where_that_is_asked_for() -> None:
    drawn = drawn_set(2, 3, undecodable={1}, missing={4})
    assert drawn.read([4, 1]) == [None, BROKEN]
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(BROKEN))
    assert Image.open(io.BytesIO(drawn.images[0] or b"")).size == (48, 48)
    assert len({*drawn.images}) == 6


def test_examples_of_a_class_share_groups() -> None:
    drawn = drawn_set(2, 4, group=2)
    assert [example.group for example in drawn.examples] == [f"0-{p % 2}-{p // 4}" for p in range(8)]
