"""Tests of the intervals of accuracy with and without images that training has seen."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from tagmill.transfer.outcome.lower_bound import SeenImages, lower_bound
from tests.transfer.outcome.test_lower_bound import judged


def test_intervals_are_wilsons_of_independent_images() -> None:
    seen = SeenImages(frozenset({"a", "b"}), frozenset({"a", "b"}), 2, 2)
    found = lower_bound(judged(list("abcdef"), [True, False, True, True, False, True]), seen)
    for ends, right, of in ((found.ends.accuracy, 4, 6), (found.ends.lower, 3, 6), (found.ends.deduplicated, 3, 4)):
        wanted = binomtest(right, of).proportion_ci(method="wilson")
        assert ends == pytest.approx((wanted.low, wanted.high))
    assert found.ends.kind == "Wilson"
    assert lower_bound(judged(["a"], [True]), seen).ends.deduplicated is None


def test_intervals_are_of_groups_where_images_come_in_groups() -> None:
    """Of 40 groups of 25 equal images 30 are right and 10 of these were seen: with groups, intervals are those of 40."""
    keys, right = [f"{group}-{place}" for group in range(40) for place in range(25)], [n < 750 for n in range(1000)]
    grouped = replace(judged(keys, right), groups=np.array([key.split("-")[0] for key in keys], np.str_))
    names = frozenset(keys[:250])
    found = lower_bound(grouped, SeenImages(names, names, 250, 250))
    assert found.ends.kind == "bootstrap over groups" and found.lower == 0.5
    for ends, share, of in (
        (found.ends.accuracy, 0.75, 40),
        (found.ends.lower, 0.5, 40),
        (found.ends.deduplicated, 2 / 3, 30),
    ):
        assert ends is not None
        low, high = (binom(of, share).ppf(tail) / of for tail in (0.025, 0.975))
        assert ends == pytest.approx((low, high), abs=0.04) and ends[0] < share < ends[1]
    every = frozenset(keys)
    assert lower_bound(grouped, SeenImages(every, every, 1000, 1000)).ends.deduplicated is None
