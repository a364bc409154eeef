"""Verdicts in words: every number that decided is there."""

from dataclasses import replace

import pytest

from tagmill.studies.plan.study_plan import PaperSize
from tagmill.studies.verdict.judge import judge_study
from tagmill.studies.verdict.sentences import number, p_value, paper_range, points, verdict_lines
from tests.studies.verdict.simulated import a_claim, a_study, drawn, runs_of


def test_a_study_in_words() -> None:
    ordered = replace(a_claim("ordered", 4), sizes=(PaperSize("arm0", "arm1", None, 0.01, "verified"),))
    runs = runs_of(drawn([0.9, 0.7, 0.5, 0.501], 5, 1)[0])
    runs[7] = replace(runs[7], measures={}, failed="the loss is not finite")
    claims = [ordered, a_claim("rises", 4, (8, 4, 2, 1)), a_claim("above", 2)]
    study = a_study(claims, runs, 4, 5)
    text = "\n".join(verdict_lines(study, judge_study(study)))
    for says in (
        "probe_top1 of 5 natural runs: mean 86.3 %, standard deviation over seeds 4.2 points (95 % interval 2.5 to 12.0)",
        "5 seeds for each arm find differences of",
        "error rate 5% over 5 comparisons",
        "CANNOT TELL: a claim of kind ordered [probe_top1; a paper; verified]",
        "arm0 minus arm1: +",
        "4 seeds; left out, because an arm lacks its run: seed 2",
        "seeds for each arm would tell if the difference is as measured",
        "in the paper less than 1.0 points [verified]; here +",
        "larger than the paper's; only the order is claimed",
        "AGREES: a claim of kind rises",
        "change per doubling: +",
        "the line bends",
        "DISAGREES: a claim of kind above",
        "below 0: arm1 minus arm0",
        "1 of 20 runs failed; they are in no mean and no comparison:\n  arm1, seed 2: the loss is not finite",
    ):
        assert says in text, f"{says!r} is not in:\n{text}"


def test_one_run_in_words() -> None:
    study = a_study([a_claim("above", 2)], runs_of([[0.5], [0.75]]), 2, 1)
    text = "\n".join(verdict_lines(study, judge_study(study)))
    assert "fewer than two natural runs finished" in text and "arm1 minus arm0: +25.0 points, 1 seed\n" in text
    assert "one seed gives no interval; how many seeds would tell cannot be estimated" in text


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.2134, "21.3"), (0.005, "0.5"), (-0.00012, "-0.012"), (0.0, "0"), (-0.0, "0"), (1e-300, "1e-298")],
)
def test_numbers_have_digits_that_mean_something(share: float, shown: str) -> None:
    assert number(share) == shown


def test_signs_ranges_and_p_values() -> None:
    assert (points(0.021), points(-0.021), points(0.021, False)) == ("+2.1 points", "-2.1 points", "2.1 points")
    assert paper_range(0.05, 0.06) == "5.0 to 6.0 points" and paper_range(0.02, 0.02) == "2.0 points"
    assert paper_range(0.05, None) == "more than 5.0 points" and paper_range(None, None) == "no number"
    assert (p_value(0.0123), p_value(1e-9)) == ("0.012", "below 0.0001")
