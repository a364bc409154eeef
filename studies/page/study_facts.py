"""All that a study found, as data: the same for the same results."""

from dataclasses import asdict

from tagmill.studies.runs.study_result import StudyResult
from tagmill.studies.verdict.comparisons import Compared
from tagmill.studies.verdict.judge import ClaimVerdict, StudyVerdict
from tagmill.studies.verdict.seeds import ERROR_RATE, POWER
from tagmill.studies.verdict.sentences import verdict_lines
from tagmill.transfer.outcome.intervals import LEVEL, Estimate
from tagmill.transfer.report.report_facts import library_versions

STUDY_FORMAT = 1


def study_values(result: StudyResult, verdict: StudyVerdict) -> dict[str, object]:
    """Returns the facts of a study for JSON. Measures and their differences are shares, 0 to 1; an interval is [low, high]."""
    return {
        "format": STUDY_FORMAT,
        "study": result.study,
        "title": result.title,
        "natural": result.natural,
        "seeds": result.seeds,
        "error_rate": ERROR_RATE,
        "comparisons": verdict.comparisons,
        "power": POWER,
        "level": LEVEL,
        "arms": [asdict(each) for each in result.arms],
        "measures": dict(result.measures),
        "claims": [_claim(each) for each in verdict.claims],
        "spreads": [asdict(each) for each in verdict.spreads],
        "means": [
            {"arm": each.arm, "measure": each.measure, "runs": each.runs, "mean": each.value}
            | {"interval": _ends(each.interval)}
            for each in verdict.means
        ],
        "runs": [asdict(each) for each in result.results],
        "limits": list(result.limits),
        "notes": list(result.notes),
        "plan": result.plan,
        "versions": library_versions(),
        "lines": verdict_lines(result, verdict),
    }


def _claim(found: ClaimVerdict) -> dict[str, object]:
    curvature = found.curvature
    return {
        **asdict(found.claim),
        "verdict": found.decision.verdict,
        "reason": found.decision.reason,
        "seeds_needed": None if found.needed is None else asdict(found.needed),
        "comparisons": [_compared(each) for each in found.compared],
        "curvature": None
        if curvature is None
        else {
            "value": curvature.interval.value,
            "interval": _ends(curvature.interval),
            "p": curvature.p,
            "bends": curvature.bends,
        },
        "sizes": [
            {**asdict(each.paper), "relation": each.relation, "seeds": each.seeds}
            | {"measured": each.measured and each.measured.value, "interval": _ends(each.measured)}
            for each in found.sizes
        ],
    }


def _compared(each: Compared) -> dict[str, object]:
    return {
        "label": each.label,
        "weights": [list(pair) for pair in each.contrast.weights],
        "by_seed": dict(each.values),
        "dropped": list(each.dropped),
        "mean": each.mean,
        "spread": each.spread,
        "interval": _ends(each.interval),
        "level": each.level,
        "p": each.p,
        "p_adjusted": each.p_adjusted,
    }


def _ends(interval: Estimate | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
