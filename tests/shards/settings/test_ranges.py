"""Ranges: what is in them, how they read, and which fields they are found in."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from tagmill.shards.errors import ConfigError
from tagmill.shards.settings.ranges import Between, Count, Share, check_fields, fits, range_of, remedy_of

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("limits", "inside", "outside", "text"),
    [
        (Between(1), [1, 10**30, 1.5], [0, 0.999, -1, INF, NAN], "at least 1"),
        (Between(1, 100), [1, 100], [0, 101, NAN], "1 to 100"),
        (Between(0, above=True), [1e-300, 5], [0, 0.0, -1, INF, NAN], "above 0"),
        (Between(0, 1, above=True), [1e-9, 1], [0, 1.0001, NAN], "above 0, at most 1"),
        (Between(0.01, 0.5), [0.01, 0.5], [0.009, 0.51], "0.01 to 0.5"),
        (Between(2, 10_000), [2, 10_000], [1, 10_001], "2 to 10000"),
        (Between(-(1 << 63), (1 << 63) - 1), [-(1 << 63), (1 << 63) - 1], [1 << 63], "-2^63 to 2^63 - 1"),
    ],
)
def test_a_range(limits: Between, inside: list[float], outside: list[float], text: str) -> None:
    assert all(value in limits for value in inside) and not any(value in limits for value in outside)
    assert str(limits) == text


@pytest.mark.parametrize(
    ("hint", "right", "wrong"),
    [
        (Count, [1, 2], [0, 1.0, True, "1", None]),
        (Count | None, [1, None], [0, 1.5, False]),
        (Share, [0, 0.5, 1], [-0.1, 2, NAN, "x", True]),
        (float, [1, -2.5], [INF, NAN, None, True]),
        (bool, [True, False], [0, 1, None]),
        (Literal["a", "b"], ["a"], ["c", None, 1]),
        (Literal[1, 2], [1], [True, 1.0]),
        (str, ["a", 3, None], []),  # not a matter of ranges
        (tuple[int, ...], [(1,), "x"], []),
    ],
)
def test_a_value_fits_its_type(hint: Any, right: list[Any], wrong: list[Any]) -> None:
    assert all(fits(hint, value) for value in right)
    assert not any(fits(hint, value) for value in wrong)


def test_the_range_of_a_type_is_found_beside_none_and_not_inside_a_tuple() -> None:
    assert range_of(Count) == range_of(Count | None) == Between(1)
    assert range_of(int) is range_of(str | None) is range_of(tuple[Count, ...]) is None


@pytest.mark.parametrize(
    ("hint", "remedy"),
    [
        (Count | None, "give a whole number of at least 1"),
        (Annotated[float, Between(0, above=True)], "give a number above 0"),
        (Share, "give a number from 0 to 1"),
        (int, "give a whole number"),
        (float | None, "give a finite number"),
        (bool, "give True or False"),
        (Literal["a", "b"] | None, "give one of a, b"),
        (Literal["a"] | Annotated[int, Between(0, 9)] | None, "give a or a whole number from 0 to 9"),
    ],
)
def test_the_remedy_says_what_to_give(hint: Any, remedy: str) -> None:
    assert remedy_of(hint) == remedy


@dataclass
class Base:
    first: Count = 1


@dataclass
class Whole(Base):
    second: Share | None = None


def test_a_check_covers_the_fields_of_bases_and_says_where() -> None:
    check_fields(Whole(), "here")
    with pytest.raises(ConfigError, match=r"^first = 0 \(here\): give a whole number of at least 1$"):
        check_fields(Whole(first=0), "here")
    with pytest.raises(ConfigError, match=r"^second = 2 \(--second\): give a number from 0 to 1$"):
        check_fields(Whole(second=2), lambda name: f"--{name}")
