"""Sizes of papers beside measured ones."""

from dataclasses import replace

import pytest
from scipy.stats import ttest_rel

from tagmill.studies.plan.study_plan import PaperSize
from tagmill.studies.verdict.paper_sizes import sizes_found
from tests.studies.verdict.simulated import a_claim

FIRST, SECOND = [0.8, 0.79, 0.83, 0.78], [0.7, 0.72, 0.71, 0.7]
VALUES = {"arm0": dict(enumerate(FIRST)), "arm1": dict(enumerate(SECOND))}


@pytest.mark.parametrize(
    ("low", "high", "relation"),
    [
        (None, 0.01, "larger"),
        (0.02, 0.02, "larger"),
        (0.2, 0.3, "smaller"),
        (0.2, None, "smaller"),
        (None, 0.08, "as in the paper"),
        (0.09, None, "as in the paper"),
        (None, None, "as in the paper"),
    ],
)
def test_a_measured_size_is_compared_with_the_papers(low: float | None, high: float | None, relation: str) -> None:
    claim = replace(a_claim("ordered", 2), sizes=(PaperSize("arm0", "arm1", low, high, "verified"),))
    (found,) = sizes_found(claim, VALUES, range(4))
    known = ttest_rel(FIRST, SECOND).confidence_interval(0.95)
    assert found.relation == relation and found.seeds == 4 and found.measured is not None
    assert found.measured[1:] == pytest.approx((known.low, known.high))


def test_one_seed_cannot_tell() -> None:
    claim = replace(a_claim("ordered", 2), sizes=(PaperSize("arm0", "arm9", None, 0.01, "verified"),))
    (found,) = sizes_found(claim, VALUES, range(4))
    assert (found.relation, found.measured, found.seeds) == ("cannot tell", None, 0)
