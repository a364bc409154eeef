"""How many seeds would tell."""

from tagmill.studies.verdict.comparisons import Compared
from tagmill.studies.verdict.contrasts import Contrast
from tagmill.studies.verdict.seeds import MOST_SEEDS, SeedsNeeded, seeds_needed
from tagmill.studies.verdict.telling import seeds_that_tell

DIFFERENCE = Contrast("b minus a", "m", (("b", 1.0), ("a", -1.0)))


def left_open(mean: float | None, spread: float | None, seeds: int = 5) -> Compared:
    values = {} if mean is None else dict.fromkeys(range(seeds), mean)
    return Compared(DIFFERENCE, values, (), mean, spread, None, 0.95, None, None)


def test_the_comparison_that_needs_most_decides() -> None:
    found = seeds_that_tell([left_open(0.03, 0.04), left_open(0.02, 0.04)], {}, 2)
    assert found == seeds_needed(0.02, 0.04, 0.05 / 2) and found.count > seeds_needed(0.03, 0.04, 0.05 / 2).count
    assert seeds_that_tell([left_open(0.03, 0.04), left_open(1e-9, 0.04)], {}, 2) == SeedsNeeded(MOST_SEEDS, True)


def test_it_is_more_than_there_are() -> None:
    assert seeds_that_tell([left_open(0.5, 0.01, 9)], {}, 1) == SeedsNeeded(10)


def test_one_seed_takes_the_spread_of_natural_runs() -> None:
    assert seeds_that_tell([left_open(0.03, None, 1)], {"m": 0.02}, 1) == seeds_needed(0.03, 0.02 * 2**0.5, 0.05)
    assert seeds_that_tell([left_open(0.03, None, 1)], {"other": 0.02}, 1) is None


def test_what_cannot_be_estimated_is_none() -> None:
    assert seeds_that_tell([], {}, 1) is None
    assert seeds_that_tell([left_open(0.03, 0.0)], {"m": 0.02}, 1) is None
    assert seeds_that_tell([left_open(None, None), left_open(0.03, 0.04)], {"m": 0.02}, 1) is None
