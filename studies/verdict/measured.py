"""Measures of the runs of a study by arm and seed; runs that failed have none."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tagmill.shards import TagmillError
from tagmill.studies.runs.run_result import RunResult

Measured = Mapping[str, Mapping[int, float]]
"""Values of one measure: arm, then seed."""


def measured(results: Iterable[RunResult], measure: str) -> dict[str, dict[int, float]]:
    """Returns the values of a measure of all runs that have it."""
    found: dict[str, dict[int, float]] = {}
    for each in results:
        if each.failed is None and measure in each.measures:
            found.setdefault(each.arm, {})[each.seed] = float(each.measures[measure])
    return found


def check_results(results: Sequence[RunResult]) -> None:
    """Raises TagmillError where an arm has two runs of one seed, and where a measure is not finite."""
    twice = [key for key, count in Counter((each.arm, each.seed) for each in results).items() if count > 1]
    if twice:
        arm, seed = twice[0]
        remedy = "a study has one run for each arm and seed: judge the runs of one plan"
        raise TagmillError(f"two runs of arm {arm!r} with seed {seed}", "results of the study", remedy)
    for each in results:
        for name, value in each.measures.items():
            if each.failed is None and not math.isfinite(value):
                what = f"{name} of arm {each.arm!r}, seed {each.seed} is {value}, which is not a number to judge by"
                raise TagmillError(what, f"run {each.run}", "mark the run as failed: it is reported and not averaged")
