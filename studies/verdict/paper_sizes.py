"""Sizes that a paper gives, beside those that were measured: said, and never a part of a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tagmill.studies.plan.study_plan import Claim, PaperSize
from tagmill.studies.verdict.contrasts import Contrast, paired_values
from tagmill.studies.verdict.measured import Measured
from tagmill.transfer.outcome.intervals import Estimate
from tagmill.transfer.outcome.over_seeds import t_interval

Relation = Literal["larger", "smaller", "as in the paper", "cannot tell"]


@dataclass(frozen=True)
class SizeFound:
    """A difference that a paper gives, and the one that was measured."""

    paper: PaperSize
    measured: Estimate | None  # paired t interval of 95 %; None for fewer than two seeds
    seeds: int
    relation: Relation  # of the measured interval to the paper's range; "as in the paper": they overlap


def sizes_found(claim: Claim, values: Measured, planned: Sequence[int]) -> tuple[SizeFound, ...]:
    """Returns each size that the claim carries with the measured one."""
    return tuple(_found(claim, paper, values, planned) for paper in claim.sizes)


def _found(claim: Claim, paper: PaperSize, values: Measured, planned: Sequence[int]) -> SizeFound:
    weights = ((paper.minuend, 1.0), (paper.subtrahend, -1.0))
    found, _ = paired_values(Contrast("", claim.measure, weights), values, planned)
    interval = t_interval(list(found.values()))
    return SizeFound(paper, interval, len(found), _relation(paper, interval))


def _relation(paper: PaperSize, interval: Estimate | None) -> Relation:
    if interval is None:
        return "cannot tell"
    if paper.high is not None and interval.low > paper.high:
        return "larger"
    if paper.low is not None and interval.high < paper.low:
        return "smaller"
    return "as in the paper"
