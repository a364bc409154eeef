"""Runs become values by arm and seed, or are refused."""

import pytest

from tagmill.shards import TagmillError
from tagmill.studies.runs.run_result import RunResult
from tagmill.studies.verdict.measured import check_results, measured


def a_run(arm: str, seed: int, value: float, failed: str | None = None) -> RunResult:
    return RunResult(arm, seed, "d1", 10, 1.0, {"top1": value}, failed)


def test_failed_runs_and_other_measures_have_no_values() -> None:
    runs = [a_run("a", 0, 0.5), a_run("a", 1, 0.6, "diverged"), a_run("b", 1, 0.25)]
    assert measured(runs, "top1") == {"a": {0: 0.5}, "b": {1: 0.25}}
    assert measured(runs, "other") == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_measure_that_is_not_finite_is_refused_unless_its_run_failed(value: float) -> None:
    with pytest.raises(TagmillError, match=r"top1 of arm 'a', seed 3 is .*mark the run as failed"):
        check_results([a_run("a", 3, value)])
    check_results([a_run("a", 3, value, "diverged")])


def test_two_runs_of_one_arm_and_seed_are_refused() -> None:
    with pytest.raises(TagmillError, match="two runs of arm 'a' with seed 3"):
        check_results([a_run("a", 3, 0.5), a_run("b", 3, 0.5), a_run("a", 3, 0.5, "diverged")])
