"""Made runs of a study, whose differences are known."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagmill.studies.plan.study_plan import Claim, ClaimKind
from tagmill.studies.runs.run_result import RunResult
from tagmill.studies.runs.study_result import ArmFacts, StudyResult
from tagmill.studies.verdict.comparisons import compare
from tagmill.studies.verdict.contrasts import contrasts_of
from tagmill.studies.verdict.decide import Verdict, decide

MEASURE = "probe_top1"


def arm_names(count: int) -> tuple[str, ...]:
    return tuple(f"arm{place}" for place in range(count))


def a_claim(kind: ClaimKind, arms: Sequence[str] | int, x: Sequence[float] = (), measure: str = MEASURE) -> Claim:
    names = arm_names(arms) if isinstance(arms, int) else tuple(arms)
    return Claim(f"a claim of kind {kind}", "a paper; verified", kind, measure, names, tuple(x))


def runs_of(table: npt.ArrayLike, measure: str = MEASURE) -> list[RunResult]:
    """Returns runs of a table [arms, seeds]."""
    rows = np.asarray(table, np.float64).tolist()
    return [
        RunResult(arm, seed, f"{arm}-{seed}", 1000, 10.0 + seed, {measure: value})
        for arm, row in zip(arm_names(len(rows)), rows, strict=True)
        for seed, value in enumerate(row)
    ]


def drawn(
    means: Sequence[float], seeds: int, simulations: int, deviation: float = 0.03, shared: float = 0.05
) -> npt.NDArray[np.float64]:
    """Returns [simulations, arms, seeds]: means, noise of each run, and noise that the runs of one seed share."""
    rng = np.random.default_rng(7)
    own = rng.normal(0, deviation, (simulations, len(means), seeds))
    alike = rng.normal(0, shared, (simulations, 1, seeds))
    found: npt.NDArray[np.float64] = np.asarray(means)[None, :, None] + own + alike
    return found


def verdicts(claims: Sequence[Claim], tables: npt.NDArray[np.float64]) -> list[tuple[Verdict, ...]]:
    """Returns the verdicts on claims about one measure for each table [arms, seeds]."""
    contrasts = [contrasts_of(claim) for claim in claims]
    every = [each for some in contrasts for each in some]
    found = []
    for table in tables.tolist():
        values = {MEASURE: {arm: dict(enumerate(row)) for arm, row in zip(arm_names(len(table)), table, strict=True)}}
        compared = compare(every, values, range(len(table[0])))
        decided = (
            decide(claim, [compared[each] for each in some]) for claim, some in zip(claims, contrasts, strict=True)
        )
        found.append(tuple(each.verdict for each in decided))
    return found


def a_study(
    claims: Sequence[Claim], results: Sequence[RunResult], arms: int, seeds: int, text: str = ""
) -> StudyResult:
    """Returns a study of arms named by `arm_names`; `text` is added to every text of it."""
    return StudyResult(
        study="noise",
        title=f"Noise in tags{text}",
        natural="arm0",
        seeds=seeds,
        arms=tuple(ArmFacts(name, f"the arm {name}{text}", "default", 1000) for name in arm_names(arms)),
        claims=tuple(claims),
        limits=(f"it cannot show what larger networks do{text}",),
        notes=(f"labels of the probe are tags{text}",),
        measures={MEASURE: f"top-1 accuracy of a linear probe{text}"},
        plan={"corpus": f"/corpora/a{text}", "versions": {"torch": "2.0"}},
        results=tuple(results),
        folder="/studies/noise",
    )
