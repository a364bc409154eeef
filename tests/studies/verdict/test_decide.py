"""Verdicts on simulated runs: false ones are rare, and an effect is found; and the reasons that they give."""

from collections import Counter

import pytest
from scipy.stats import binomtest

from tagmill.studies.plan.study_plan import ClaimKind
from tagmill.studies.verdict.comparisons import Compared
from tagmill.studies.verdict.contrasts import Contrast
from tagmill.studies.verdict.decide import Decision, decide
from tagmill.transfer.outcome.intervals import Estimate
from tests.studies.verdict.simulated import a_claim, drawn, verdicts

SIMULATIONS = 1000
DOUBLINGS = (1.0, 2.0, 4.0, 8.0)

# Arms without the claimed effect; of claims that need several comparisons, all but one are large: the hardest case.
WITHOUT: list[tuple[ClaimKind, tuple[float, ...]]] = [
    ("above", (0.6, 0.6)),
    ("ordered", (0.9, 0.5, 0.5, 0.1)),
    ("rises", (0.6, 0.6, 0.6, 0.6)),
    ("interaction", (0.2, 0.5, 0.4, 0.7)),
    ("interior", (0.6, 0.6, 0.6, 0.1)),
]
WITH: list[tuple[ClaimKind, tuple[float, ...]]] = [
    ("above", (0.6, 0.7)),
    ("ordered", (0.8, 0.7, 0.6, 0.5)),
    ("rises", (0.6, 0.63, 0.66, 0.69)),
    ("interaction", (0.2, 0.5, 0.4, 0.55)),
    ("interior", (0.6, 0.75, 0.7, 0.6)),
]


def shares(kind: ClaimKind, means: tuple[float, ...], simulations: int = SIMULATIONS) -> Counter[str]:
    claim = a_claim(kind, len(means), DOUBLINGS if kind == "rises" else ())
    return Counter(str(each) for (each,) in verdicts([claim], drawn(means, 5, simulations)))


@pytest.mark.parametrize(("kind", "means"), WITHOUT)
def test_without_an_effect_false_verdicts_are_rare(kind: ClaimKind, means: tuple[float, ...]) -> None:
    found = shares(kind, means)
    for verdict in ("agrees", "disagrees"):
        assert found[verdict] <= 0.05 * SIMULATIONS, found
        assert binomtest(found[verdict], SIMULATIONS).proportion_ci(0.99).low <= 0.025, "each side has half of 5 %"


@pytest.mark.parametrize(("kind", "means"), WITH)
def test_an_effect_is_found_and_its_opposite_contradicted(kind: ClaimKind, means: tuple[float, ...]) -> None:
    found = shares(kind, means, 200)
    assert binomtest(found["agrees"], 200).proportion_ci(0.95).low >= 0.8 and not found["disagrees"]
    opposite = shares(kind, tuple(-each for each in means), 200)
    assert binomtest(opposite["disagrees"], 200).proportion_ci(0.95).low >= 0.8 and not opposite["agrees"]


def test_of_several_claims_without_an_effect_hardly_any_is_decided() -> None:
    """The error rate is that of all claims of a study together."""
    claims = [a_claim("above", ("arm0", f"arm{other}")) for other in range(1, 7)]
    found = verdicts(claims, drawn([0.6] * 7, 5, SIMULATIONS))
    decided = sum(any(each != "cannot tell" for each in study) for study in found)
    assert binomtest(decided, SIMULATIONS).proportion_ci(0.95).low <= 0.05
    assert sum("agrees" in study for study in found) <= 0.05 * SIMULATIONS


# --------------------------------------------------------------------------------------------------------------- Reasons
ENDS = {"above": (0.1, 0.3), "below": (-0.3, -0.1), "open": (-0.1, 0.2)}


def a_comparison(label: str, state: str) -> Compared:
    low, high = ENDS[state]
    values = {0: low, 1: high}
    interval = Estimate((low + high) / 2, low, high)
    return Compared(Contrast(label, "m", ()), values, (), interval.value, 0.1, interval, 0.95, 0.01, 0.01)


def decided(kind: ClaimKind, arms: int, *states: str) -> Decision:
    labels = [f"c{place}" for place in range(len(states))]
    return decide(a_claim(kind, arms), [a_comparison(*each) for each in zip(labels, states, strict=True)])


def test_all_steps_must_be_above_and_one_below_contradicts() -> None:
    assert decided("ordered", 3, "above", "above") == Decision("agrees", "all 2 are above 0")
    assert decided("above", 2, "above") == Decision("agrees", "above 0, as claimed")
    assert decided("ordered", 4, "above", "below", "open") == Decision("disagrees", "below 0: c1")
    found = decided("ordered", 4, "above", "open", "open")
    assert (found.verdict, found.reason) == ("cannot tell", "c1: the interval includes 0; c2: the interval includes 0")
    assert [each.label for each in found.undecided] == ["c1", "c2"]


@pytest.mark.parametrize(
    ("states", "verdict", "reason", "undecided"),
    [
        (("open", "open", "above", "above"), "agrees", "arm2 is above arm0 and above arm3", 0),
        (("below", "above", "below", "open"), "disagrees", "arm0 is above every inner arm", 0),
        (("above", "below", "above", "below"), "disagrees", "arm3 is above every inner arm", 0),
        (("above", "open", "open", "open"), "cannot tell", "c1: the interval includes 0", 1),
        (
            ("below", "above", "open", "below"),
            "cannot tell",
            "arm0 is above arm1, the best inner arm; c2: the interval",
            1,
        ),
    ],
)
def test_an_inner_arm_must_be_above_both_ends(
    states: tuple[str, ...], verdict: str, reason: str, undecided: int
) -> None:
    found = decided("interior", 4, *states)
    assert found.verdict == verdict and found.reason.startswith(reason), found
    assert len(found.undecided) == undecided


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "no seed has a finished run of each of its arms"),
        ({4: 0.5}, "one seed gives no interval"),
        ({1: 0.0, 4: 0.0}, "the difference is 0 for every seed"),
        ({1: 0.5, 4: 0.5}, "the difference is the same for every seed"),
    ],
)
def test_without_an_interval_the_reason_is_said(values: dict[int, float], says: str) -> None:
    mean = sum(values.values()) / len(values) if values else None
    found = decide(
        a_claim("above", 2), [Compared(Contrast("c", "m", ()), values, (), mean, None, None, 0.95, None, None)]
    )
    assert found.verdict == "cannot tell" and found.reason.startswith(f"c: {says}")
