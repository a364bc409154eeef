"""Judges a study: every claim by its runs, with one error rate for all comparisons of the study."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

from tagmill.studies.plan.study_plan import Claim
from tagmill.studies.runs.run_result import RunResult
from tagmill.studies.runs.study_result import StudyResult
from tagmill.studies.verdict.comparisons import Compared, compare, paired_p_value
from tagmill.studies.verdict.contrasts import contrasts_of, curvature, paired_values
from tagmill.studies.verdict.decide import Decision, decide
from tagmill.studies.verdict.measured import Measured, check_results, measured
from tagmill.studies.verdict.paper_sizes import SizeFound, sizes_found
from tagmill.studies.verdict.seeds import SeedsNeeded
from tagmill.studies.verdict.spread import SeedSpread, seed_spread
from tagmill.studies.verdict.telling import seeds_that_tell
from tagmill.transfer.outcome.intervals import Estimate
from tagmill.transfer.outcome.over_seeds import t_interval


@dataclass(frozen=True)
class Curvature:
    """How a line over log2(x) is bent: the quadratic coefficient. No verdict depends on it."""

    interval: Estimate  # paired t interval of 95 %
    p: float

    @property
    def bends(self) -> str:
        """The direction that the interval shows: `down`, `up` or `not seen`."""
        return "down" if self.interval.high < 0 else "up" if self.interval.low > 0 else "not seen"


@dataclass(frozen=True)
class ArmMean:
    """The mean of one measure over the finished runs of an arm."""

    arm: str
    measure: str
    runs: int
    value: float
    interval: Estimate | None  # t interval of 95 %; None for one run


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim, and what the runs say of it."""

    claim: Claim
    decision: Decision
    needed: SeedsNeeded | None  # seeds that would tell; None where it is decided, or where they cannot be estimated
    compared: tuple[Compared, ...]
    curvature: Curvature | None  # of `rises` with three x or more
    sizes: tuple[SizeFound, ...]


@dataclass(frozen=True)
class StudyVerdict:
    """All that is computed from the runs of a study."""

    claims: tuple[ClaimVerdict, ...]
    comparisons: int  # that share the error rate
    spreads: tuple[SeedSpread, ...]  # of each measure that a claim is about, where two natural runs finished
    means: tuple[ArmMean, ...]
    failed: tuple[RunResult, ...]


def judge_study(result: StudyResult) -> StudyVerdict:
    """Returns the verdicts of a study. Raises as `judge` does."""
    arms = tuple(each.name for each in result.arms)
    return judge(result.claims, result.results, result.natural, result.seeds, tuple(result.measures), arms)


def judge(
    claims: Sequence[Claim],
    results: Sequence[RunResult],
    natural: str,
    seeds: int,
    measures: Sequence[str] = (),
    arms: Sequence[str] = (),
) -> StudyVerdict:
    """Returns the verdicts on claims. The order of the results does not matter.

    `natural`: the arm whose runs show the spread of seeds. `seeds`: planned for each arm. `measures` and `arms` are the order
    of the means; others follow. Raises TagmillError for two runs of one arm and seed and for a measure that is not finite, and
    ConfigError for a claim that cannot be judged.
    """
    check_results(results)
    planned = sorted({each.seed for each in results})
    names = list(dict.fromkeys([*measures, *sorted({name for each in results for name in each.measures})]))
    values = {name: measured(results, name) for name in {*names, *(claim.measure for claim in claims)}}
    contrasts = [contrasts_of(claim) for claim in claims]
    comparisons = len({each for some in contrasts for each in some})
    asked = dict.fromkeys(claim.measure for claim in claims)
    spreads = tuple(
        found
        for name in asked
        if (found := seed_spread(name, by_seed(values[name], natural), seeds, comparisons)) is not None
    )
    deviations = {each.measure: each.deviation for each in spreads}
    compared = compare([each for some in contrasts for each in some], values, planned)
    return StudyVerdict(
        claims=tuple(
            replace(each, needed=seeds_that_tell(each.decision.undecided, deviations, comparisons))
            for claim, some in zip(claims, contrasts, strict=True)
            for each in [_verdict(claim, tuple(compared[one] for one in some), values[claim.measure], planned)]
        ),
        comparisons=comparisons,
        spreads=spreads,
        means=tuple(_mean(arm, name, values[name]) for name in names for arm in _order(arms, values[name])),
        failed=tuple(
            sorted((each for each in results if each.failed is not None), key=lambda run: (run.arm, run.seed))
        ),
    )


def by_seed(values: Measured, arm: str) -> list[float]:
    """Returns the values of an arm, in the order of seeds."""
    return [value for _, value in sorted(values.get(arm, {}).items())]


def _order(arms: Sequence[str], values: Measured) -> list[str]:
    return [arm for arm in dict.fromkeys([*arms, *sorted(values)]) if arm in values]


def _mean(arm: str, measure: str, values: Measured) -> ArmMean:
    numbers = by_seed(values, arm)
    return ArmMean(arm, measure, len(numbers), mean(numbers), t_interval(numbers))


def _verdict(claim: Claim, compared: tuple[Compared, ...], values: Measured, planned: Sequence[int]) -> ClaimVerdict:
    bent = _curvature(claim, values, planned) if claim.kind == "rises" else None
    return ClaimVerdict(claim, decide(claim, compared), None, compared, bent, sizes_found(claim, values, planned))


def _curvature(claim: Claim, values: Measured, planned: Sequence[int]) -> Curvature | None:
    contrast = curvature(claim)
    if contrast is None:
        return None
    found, _ = paired_values(contrast, values, planned)
    numbers = list(found.values())
    p, interval = paired_p_value(numbers), t_interval(numbers)
    return None if p is None or interval is None else Curvature(interval, p)
