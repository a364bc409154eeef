"""Comparisons are paired, exact, and on common images only."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import ConfigError
from tagmill.transfer.outcome.compare import compare_outcomes, mcnemar
from tests.transfer.outcome.made import made_outcome, random_outcome


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_two_binomial_tails(lost: int, gained: int) -> None:
    number = lost + gained
    tail = sum(comb(number, k) for k in range(min(lost, gained) + 1)) / 2**number
    assert mcnemar(lost, gained) == pytest.approx(min(1.0, 2 * tail)) == mcnemar(gained, lost)


def test_mcnemar_of_known_tables() -> None:
    # Discordant pairs 121 and 59, and 6 and 1; the numbers are twice the sum of math.comb(180, k) / 2**180 for k up to 59, and
    # of math.comb(7, k) / 2**7 for k up to 1.
    assert mcnemar(121, 59) == pytest.approx(4.434449e-06, rel=1e-5)
    assert mcnemar(6, 1) == pytest.approx(0.125)


def test_counts_of_a_small_table() -> None:
    first = made_outcome([0, 0, 0, 0, 1], [[0], [0], [1], [1], [1]], 2, keys="abcde")
    second = made_outcome([1, 0, 0, 0, 0], [[1], [1], [0], [1], [0]], 2, keys="gdcbx")
    found = compare_outcomes(first, second)
    assert (found.images, found.only_first, found.only_second) == (3, 2, 2)
    # Common: b (only the first), c (only the second), d (neither).
    assert (found.both_right, found.first_right, found.second_right, found.both_wrong) == (0, 1, 1, 1)
    assert found.difference.value == 0 and found.p_value == 1


def test_the_interval_is_that_of_paired_differences_and_turns_around() -> None:
    first, second = random_outcome(1500, 8, 0.4, 1), random_outcome(1500, 8, 0.5, 2)
    there, back = compare_outcomes(first, second), compare_outcomes(second, first)
    assert there.difference.value == -back.difference.value > 0 and there.p_value == back.p_value < 0.01
    steps = (second.top[:, 0] == second.truth).astype(int) - (first.top[:, 0] == first.truth)
    half = 1.96 * steps.std() / len(steps) ** 0.5
    assert there.difference.high == pytest.approx(steps.mean() + half, abs=0.15 * half)
    assert there.difference.low == pytest.approx(steps.mean() - half, abs=0.15 * half)
    assert there.groups is None


def test_groups_are_drawn_whole() -> None:
    first, second = random_outcome(400, 8, 0.4, 1), random_outcome(400, 8, 0.6, 2)
    grouped = replace(first, groups=np.arange(400).astype(str).astype("U9"))
    assert compare_outcomes(grouped, second) == compare_outcomes(first, second)
    halves = replace(first, groups=np.where(np.arange(400) % 2, "odd", "even"))
    found = compare_outcomes(halves, second)
    assert found.groups == 2 and found.difference.low <= found.difference.value <= found.difference.high


def test_the_order_of_classes_is_no_matter() -> None:
    outcome = random_outcome(50, 6, 0.7)
    turned = replace(outcome, classes=outcome.classes[::-1], truth=5 - outcome.truth, top=5 - outcome.top)
    found = compare_outcomes(outcome, turned)
    assert found.both_right + found.both_wrong == 50 and found.p_value == 1


def test_other_sets_are_refused() -> None:
    outcome = random_outcome(50, 6, 0.7)
    with pytest.raises(ConfigError, match="no image in common"):
        compare_outcomes(outcome, replace(outcome, keys=np.char.add("x", outcome.keys)))
    with pytest.raises(ConfigError, match="50 of 50 common images"):
        compare_outcomes(outcome, replace(outcome, truth=(outcome.truth + 1) % 6))
