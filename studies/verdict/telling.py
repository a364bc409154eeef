"""How many seeds would decide what a study leaves undecided."""

from collections.abc import Mapping, Sequence

from tagmill.studies.verdict.comparisons import NO_SPREAD, Compared
from tagmill.studies.verdict.seeds import ERROR_RATE, MOST_SEEDS, SeedsNeeded, seeds_needed


def seeds_that_tell(
    undecided: Sequence[Compared], run_spread: Mapping[str, float], comparisons: int
) -> SeedsNeeded | None:
    """Returns the seeds for each arm that decide all these comparisons with a power of 0.8, were their differences as measured;
    None where there are none, and where it cannot be estimated.

    `run_spread`: standard deviation of natural runs over seeds, by measure; it is used where there is one seed only.
    `comparisons`: of the study, which share the error rate.
    """
    found = [_needed(each, run_spread.get(each.contrast.measure), comparisons) for each in undecided]
    known = [each for each in found if each is not None]
    if len(known) < len(found) or not known:
        return None
    if any(each.capped for each in known):
        return SeedsNeeded(MOST_SEEDS, capped=True)
    return SeedsNeeded(max(each.count for each in known))


def _needed(compared: Compared, run_spread: float | None, comparisons: int) -> SeedsNeeded | None:
    if compared.mean is None:
        return None
    spread = compared.spread
    if spread is None:  # independent runs
        spread = compared.contrast.length * (run_spread or 0.0)
    if spread <= NO_SPREAD:
        return None
    found = seeds_needed(compared.mean, spread, ERROR_RATE / max(1, comparisons))
    # More than there are, which have not told.
    return found if found.capped else SeedsNeeded(max(found.count, len(compared.values) + 1))
