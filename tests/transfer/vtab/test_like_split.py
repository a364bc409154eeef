"""Tests of the split in VTAB's manner."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards import InputError
from tagmill.transfer.sets.labelled_set import Example, LabelledSet, SetClass
from tagmill.transfer.vtab.like_split import like_split

CLASSES = (SetClass("a"), SetClass("b"))


@dataclass(frozen=True)
class Numbers(LabelledSet):
    """A set whose images are their keys."""

    def read(self, places: Sequence[int]) -> list[bytes | None]:
        return [self.examples[place].key.encode() for place in places]


def numbers(count: int, group: int = 1, first: int = 0) -> Numbers:
    """Images 0, 1, ...; `group` in a row share one."""
    rows = [
        Example(f"{number}", (number % 2,), "" if group == 1 else f"{number // group}")
        for number in range(first, count)
    ]
    return Numbers("numbers", "memory", CLASSES, tuple(rows), f"{count} {group} {first}")


def keys(found: LabelledSet) -> list[str]:
    return [example.key for example in found.examples]


def test_draws_800_and_200_and_tests_on_the_rest() -> None:
    whole = numbers(1300)
    split = like_split(whole)
    assert [len(part) for part in (split.train, split.val, split.trainval, split.test)] == [800, 200, 1000, 300]
    assert sorted(keys(split.trainval) + keys(split.test), key=int) == keys(whole)
    assert keys(split.trainval) == sorted(keys(split.train) + keys(split.val), key=int)
    assert split.val.read([3, 0]) == [split.val.examples[3].key.encode(), split.val.examples[0].key.encode()]
    assert len({split.train.digest, split.val.digest, split.trainval.digest, split.test.digest}) == 4
    assert split.train.name == "numbers train"


def test_depends_on_keys_and_seed_alone() -> None:
    whole = numbers(1300)
    turned = Numbers("numbers", "memory", CLASSES, tuple(reversed(whole.examples)), "turned")
    assert set(keys(like_split(turned).train)) == set(keys(like_split(whole).train))
    assert set(keys(like_split(whole, seed=1).train)) != set(keys(like_split(whole).train))


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 40), st.integers(0, 3))
def test_no_group_is_divided(size: int, seed: int) -> None:
    split = like_split(numbers(1500, size), seed=seed)
    parts = [{example.group for example in part.examples} for part in (split.train, split.val, split.test)]
    assert not parts[0] & parts[1] and not parts[1] & parts[2] and not parts[0] & parts[2]
    assert 0 <= len(split.train) - 800 < size and 0 <= len(split.val) - 200 < size


def test_a_test_set_that_is_given_is_taken() -> None:
    test = numbers(1040, first=1000)
    assert like_split(numbers(1000), test).test is test
    with pytest.raises(InputError, match="no images are left"):
        like_split(numbers(1000))
    with pytest.raises(InputError, match="999 images"):
        like_split(numbers(999), test)
    other = Numbers("other", "memory", (SetClass("a"), SetClass("c")), test.examples, "")
    with pytest.raises(InputError, match="other classes"):
        like_split(numbers(1000), other)
