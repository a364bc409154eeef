"""What claims compare: weights against plain formulas, and claims that cannot be judged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import ConfigError
from tagmill.studies.plan.study_plan import ClaimKind
from tagmill.studies.verdict.contrasts import contrasts_of, curvature, paired_values, slope
from tests.studies.verdict.simulated import a_claim

shares = st.floats(0, 1)


def value_of(kind: ClaimKind, measures: list[float], x: list[float] | None = None) -> list[float]:
    claim = a_claim(kind, len(measures), x or [])
    values = {arm: {4: value} for arm, value in zip(claim.arms, measures, strict=True)}
    return [paired_values(each, values, [4])[0][4] for each in contrasts_of(claim)]


@given(st.lists(shares, min_size=4, max_size=4))
def test_they_are_differences(m: list[float]) -> None:
    assert value_of("above", m[:2]) == pytest.approx([m[1] - m[0]])
    assert value_of("ordered", m) == pytest.approx([m[0] - m[1], m[1] - m[2], m[2] - m[3]])
    assert value_of("interaction", m) == pytest.approx([(m[1] - m[0]) - (m[3] - m[2])])
    assert value_of("interior", m) == pytest.approx([m[1] - m[0], m[1] - m[3], m[2] - m[0], m[2] - m[3]])


@given(st.lists(st.tuples(shares, st.integers(-3, 30)), min_size=3, max_size=6, unique_by=lambda pair: pair[1]))
def test_slope_and_curvature_are_those_of_polyfit(points: list[tuple[float, int]]) -> None:
    measures, places = [each[0] for each in points], [each[1] for each in points]
    claim = a_claim("rises", len(points), [2.0**place for place in places])
    values = {arm: {0: value} for arm, value in zip(claim.arms, measures, strict=True)}
    assert paired_values(slope(claim), values, [0])[0][0] == pytest.approx(np.polyfit(places, measures, 1)[0], abs=1e-9)
    bent = curvature(claim)
    assert bent is not None
    assert paired_values(bent, values, [0])[0][0] == pytest.approx(np.polyfit(places, measures, 2)[0], abs=1e-9)


def test_two_points_have_no_curvature() -> None:
    assert curvature(a_claim("rises", 2, [1, 8])) is None
    assert curvature(a_claim("rises", 3, [1, 8, 8])) is None


@given(st.sampled_from(["above", "ordered", "interaction", "interior", "rises"]))
def test_what_the_runs_of_a_seed_share_cancels(kind: ClaimKind) -> None:
    count = 2 if kind == "above" else 4
    claim = a_claim(kind, count, [1, 2, 4, 16] if kind == "rises" else [])
    assert all(sum(weight for _, weight in each.weights) == pytest.approx(0, abs=1e-12) for each in contrasts_of(claim))


def test_a_seed_without_a_run_of_each_arm_is_dropped() -> None:
    (contrast,) = contrasts_of(a_claim("above", 2))
    found, dropped = paired_values(
        contrast, {"arm0": {0: 0.1, 1: 0.5, 7: 0.5}, "arm1": {1: 0.75, 3: 0.5}}, [0, 1, 3, 9]
    )
    assert found == {1: 0.25} and dropped == (0, 3, 9)
    assert paired_values(contrast, {"arm0": {0: 0.1}}, [0]) == ({}, (0,))


@pytest.mark.parametrize(
    ("kind", "arms", "x", "says"),
    [
        ("above", "abc", (), "with 3 arms.*2 arms"),
        ("above", "a", (), "with 1 arms"),
        ("interaction", "abc", (), "4 arms"),
        ("interior", "ab", (), "at least 3"),
        ("ordered", "a", (), "at least 2"),
        ("ordered", "aba", (), "twice"),
        ("rises", "ab", (1,), "an x above 0"),
        ("rises", "ab", (0, 1), "an x above 0"),
        ("rises", "ab", (1, float("nan")), "an x above 0"),
        ("rises", "ab", (2, 2), "two different"),
        ("interaction", "abab", (), "an arm with itself"),
        ("falls", "ab", (), "unknown kind 'falls'"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(kind: ClaimKind, arms: str, x: tuple[float, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        contrasts_of(a_claim(kind, tuple(arms), x))


def test_an_arm_may_be_in_both_differences_of_an_interaction() -> None:
    (contrast,) = contrasts_of(a_claim("interaction", ("a", "b", "a", "c")))
    assert dict(contrast.weights) == {"a": 0.0, "b": 1.0, "c": -1.0}
