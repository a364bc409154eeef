"""A whole study: the same verdicts for the same runs in any order, and what is said of runs that are missing."""

import random
from dataclasses import replace

import numpy as np
import pytest

from tagmill.shards import TagmillError
from tagmill.studies.verdict.judge import judge, judge_study
from tests.studies.verdict.simulated import MEASURE, a_claim, a_study, drawn, runs_of

CLAIMS = [a_claim("rises", 4, (1, 2, 4, 8)), a_claim("interior", 4), a_claim("ordered", ("arm3", "arm0"))]
RUNS = runs_of(drawn([0.4, 0.6, 0.7, 0.75], 5, 1)[0])


def test_the_order_of_runs_does_not_matter() -> None:
    shuffled = RUNS.copy()
    random.Random(1).shuffle(shuffled)
    found = judge(CLAIMS, RUNS, "arm0", 5)
    assert found == judge(CLAIMS, shuffled, "arm0", 5)
    assert found.claims[0].decision.verdict == "agrees" and found.comparisons == 6
    (spread,) = found.spreads
    natural = [each.measures[MEASURE] for each in RUNS if each.arm == "arm0"]
    assert spread.deviation == pytest.approx(np.std(natural, ddof=1)) and spread.comparisons == 6
    assert [(each.arm, each.runs) for each in found.means] == [(f"arm{n}", 5) for n in range(4)]


def test_a_line_that_bends_is_said_and_a_straight_one_is_not() -> None:
    doubling, noise = np.arange(4.0), np.random.default_rng(0).normal(0, 0.004, (4, 5))
    for curve, bends in ((0.0, "not seen"), (-0.03, "down"), (0.03, "up")):
        means = 0.4 + 0.08 * doubling + curve * (doubling - 1.5) ** 2
        (claim,) = judge(CLAIMS[:1], runs_of(means[:, None] + noise), "arm0", 5).claims
        assert claim.curvature is not None and claim.curvature.bends == bends
        assert claim.curvature.interval.low <= curve <= claim.curvature.interval.high


def test_failed_runs_are_reported_and_in_no_mean() -> None:
    broken = [
        replace(each, measures={}, failed="loss is not finite")
        if (each.arm, each.seed) in (("arm1", 2), ("arm0", 4))
        else each
        for each in RUNS
    ]
    found = judge(CLAIMS, broken, "arm0", 5)
    assert [(each.arm, each.seed) for each in found.failed] == [("arm0", 4), ("arm1", 2)]
    assert [each.runs for each in found.means] == [4, 4, 5, 5]
    assert found.means[1].value == pytest.approx(
        np.mean([each.measures[MEASURE] for each in RUNS if each.arm == "arm1" and each.seed != 2])
    )
    slope, interior, last = found.claims
    assert [each.dropped for each in slope.compared] == [(2, 4)] and [each.dropped for each in last.compared] == [(4,)]
    assert [each.dropped for each in interior.compared] == [(2, 4), (2,), (4,), ()]


def test_one_seed_cannot_tell_and_says_how_many_would() -> None:
    one = [each for each in RUNS if each.seed == 0 or each.arm == "arm0"]
    found = judge(CLAIMS, one, "arm0", 1)
    assert {each.decision.verdict for each in found.claims} == {"cannot tell"}
    assert found.spreads[0].visible is None and found.claims[0].needed is not None and found.claims[0].needed.count > 1
    alone = judge(CLAIMS, [each for each in RUNS if each.seed == 0], "arm0", 1)
    assert {each.decision.verdict for each in alone.claims} == {"cannot tell"} and not alone.spreads
    assert alone.claims[0].needed is None


def test_a_measure_that_no_run_has_cannot_tell() -> None:
    (found,) = judge([a_claim("above", 2, measure="other")], RUNS, "arm0", 5).claims
    assert found.decision.verdict == "cannot tell" and "no seed has a finished run" in found.decision.reason


def test_equal_runs_cannot_tell() -> None:
    (found,) = judge([a_claim("ordered", 3)], runs_of(np.full((3, 5), 0.5)), "arm0", 5).claims
    assert found.decision.verdict == "cannot tell" and "is 0 for every seed" in found.decision.reason
    assert found.needed is None


def test_a_measure_that_is_not_finite_is_refused() -> None:
    with pytest.raises(TagmillError, match="not a number to judge by"):
        judge(CLAIMS, runs_of([[0.5, float("nan")], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]), "arm0", 2)


def test_a_study_is_judged_in_the_order_of_its_arms() -> None:
    study = replace(a_study(CLAIMS, RUNS, 4, 5), arms=a_study(CLAIMS, RUNS, 4, 5).arms[::-1])
    found = judge_study(study)
    assert [each.arm for each in found.means] == ["arm3", "arm2", "arm1", "arm0"]
    assert found.claims == judge(CLAIMS, RUNS, "arm0", 5).claims
