"""What each kind of claim compares: sums of weighted measures of arms, with one value for each seed that has a run of each."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tagmill.shards import ConfigError
from tagmill.studies.plan.study_plan import Claim, ClaimKind

_LEAST = {"rises": 2, "ordered": 2, "above": 2, "interaction": 4, "interior": 3}
_EXACT: tuple[ClaimKind, ...] = ("above", "interaction")
_LEAST_CURVED = 3  # points of a parabola


@dataclass(frozen=True)
class Contrast:
    """A sum of weighted measures of arms; the weights sum to 0. A claim expects it to be above 0."""

    label: str
    measure: str
    weights: tuple[tuple[str, float], ...]

    @property
    def length(self) -> float:
        """Its standard deviation where runs are independent with a standard deviation of 1."""
        return math.hypot(*(weight for _, weight in self.weights))


def contrasts_of(claim: Claim) -> tuple[Contrast, ...]:
    """Returns the comparisons that decide a claim: for `ordered` the neighbouring steps, for `rises` the slope, for `interior`
    each inner arm minus the first and minus the last, in this order. Raises ConfigError for a claim that cannot be judged."""
    check_claim(claim)
    arms = claim.arms
    if claim.kind == "rises":
        return (slope(claim),)
    if claim.kind == "ordered":
        return tuple(_difference(claim, upper, lower) for upper, lower in pairwise(arms))
    if claim.kind == "above":
        return (_difference(claim, arms[1], arms[0]),)
    if claim.kind == "interaction":
        label = f"({arms[1]} minus {arms[0]}) minus ({arms[3]} minus {arms[2]})"
        return (_contrast(claim, label, zip(arms, (-1.0, 1.0, 1.0, -1.0), strict=True)),)
    return tuple(_difference(claim, inner, end) for inner in arms[1:-1] for end in (arms[0], arms[-1]))


def slope(claim: Claim) -> Contrast:
    """Returns the slope of the least-squares line of the measure over log2(x): its change for each doubling of x."""
    places = np.log2(np.asarray(claim.x, np.float64))
    centred = places - places.mean()
    return _contrast(claim, "change per doubling", zip(claim.arms, centred / (centred @ centred), strict=True))


def curvature(claim: Claim) -> Contrast | None:
    """Returns the quadratic coefficient of the least-squares parabola of the measure over log2(x); None where `rises` has fewer
    than three different x."""
    places = np.log2(np.asarray(claim.x, np.float64))
    if len(np.unique(places)) < _LEAST_CURVED:
        return None
    powers = np.stack([np.ones(len(places)), places, places**2], axis=1)
    return _contrast(claim, "curvature", zip(claim.arms, np.linalg.pinv(powers)[2], strict=True))


def check_claim(claim: Claim) -> None:
    """Raises ConfigError for a claim with too few or too many arms, an arm that is repeated, or x that have no logarithm."""
    least, arms = _LEAST.get(claim.kind), claim.arms
    if least is None:
        raise ConfigError(f"a claim of unknown kind {claim.kind!r}", claim.text, f"kinds are {', '.join(_LEAST)}")
    if len(arms) < least or (claim.kind in _EXACT and len(arms) != least):
        wanted = f"{least} arms" if claim.kind in _EXACT else f"at least {least} arms"
        raise ConfigError(f"a claim of kind {claim.kind!r} with {len(arms)} arms", claim.text, f"give it {wanted}")
    if claim.kind != "interaction" and len(set(arms)) < len(arms):
        raise ConfigError("a claim that names an arm twice", claim.text, "name each arm once")
    if claim.kind == "rises":
        usable = len(claim.x) == len(arms) and all(math.isfinite(each) and each > 0 for each in claim.x)
        if not usable or len(set(claim.x)) < _LEAST["rises"]:
            what = f"a claim of kind 'rises' with {len(arms)} arms and x of {list(claim.x)}"
            raise ConfigError(what, claim.text, "give each arm an x above 0, and at least two different ones")


def _difference(claim: Claim, upper: str, lower: str) -> Contrast:
    return _contrast(claim, f"{upper} minus {lower}", ((upper, 1.0), (lower, -1.0)))


def _contrast(claim: Claim, label: str, weights: Iterable[tuple[str, float]]) -> Contrast:
    summed: dict[str, float] = {}
    for arm, weight in weights:
        summed[arm] = summed.get(arm, 0.0) + float(weight)
    if not any(summed.values()):
        raise ConfigError("a claim that compares an arm with itself", claim.text, "name different arms")
    return Contrast(label, claim.measure, tuple(summed.items()))


def paired_values(
    contrast: Contrast, values: Mapping[str, Mapping[int, float]], planned: Sequence[int]
) -> tuple[dict[int, float], tuple[int, ...]]:
    """Returns the contrast of each seed that has all its arms, and the seeds of `planned` that lack one."""
    arms = [values.get(arm, {}) for arm, _ in contrast.weights]
    complete = sorted(set(arms[0]).intersection(*arms[1:]))
    found = {seed: math.fsum(weight * values[arm][seed] for arm, weight in contrast.weights) for seed in complete}
    return found, tuple(sorted(set(planned) - set(complete)))
