"""The verdict on a claim, from its comparisons: it agrees, it disagrees, or the runs cannot tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tagmill.studies.plan.study_plan import Claim
from tagmill.studies.verdict.comparisons import NO_SPREAD, Compared

Verdict = Literal["agrees", "disagrees", "cannot tell"]


@dataclass(frozen=True)
class Decision:
    """A verdict with its reason."""

    verdict: Verdict
    reason: str
    undecided: tuple[Compared, ...] = ()  # comparisons that another verdict would depend on


def decide(claim: Claim, compared: Sequence[Compared]) -> Decision:
    """Returns the verdict on a claim; `compared` are its contrasts, in the order of `contrasts_of`."""
    if claim.kind == "interior":
        return _interior(claim, compared)
    below = [each.label for each in compared if each.state == "below"]
    if below:
        return Decision("disagrees", f"below 0: {', '.join(below)}")
    undecided = tuple(each for each in compared if each.state == "open")
    if undecided:
        return Decision("cannot tell", why_open(undecided), undecided)
    return Decision("agrees", "above 0, as claimed" if len(compared) == 1 else f"all {len(compared)} are above 0")


def _interior(claim: Claim, compared: Sequence[Compared]) -> Decision:
    """Every inner arm is compared with both ends, so that the best of them is not chosen by what is then tested."""
    inner = claim.arms[1:-1]
    pairs = {arm: compared[2 * place : 2 * place + 2] for place, arm in enumerate(inner)}
    for arm, pair in pairs.items():
        if all(each.state == "above" for each in pair):
            return Decision("agrees", f"{arm} is above {claim.arms[0]} and above {claim.arms[-1]}")
    for side, end in enumerate((claim.arms[0], claim.arms[-1])):
        if all(pair[side].state == "below" for pair in pairs.values()):
            return Decision("disagrees", f"{end} is above every inner arm")
    best = best_inner(claim, compared)
    undecided = tuple(each for each in pairs[best] if each.state == "open")
    if len(undecided) == sum(each.state != "above" for each in pairs[best]):
        return Decision("cannot tell", why_open(undecided), undecided)
    side = next(side for side, each in enumerate(pairs[best]) if each.state == "below")
    undecided = tuple(pair[side] for pair in pairs.values() if pair[side].state == "open")
    end = (claim.arms[0], claim.arms[-1])[side]
    return Decision("cannot tell", f"{end} is above {best}, the best inner arm; {why_open(undecided)}", undecided)


def best_inner(claim: Claim, compared: Sequence[Compared]) -> str:
    """Returns the inner arm whose smaller difference to the two ends is largest."""
    inner = claim.arms[1:-1]
    least = [
        min(-1e9 if each.mean is None else each.mean for each in compared[2 * place : 2 * place + 2])
        for place in range(len(inner))
    ]
    return inner[max(range(len(inner)), key=lambda place: (least[place], -place))]


def why_open(undecided: Sequence[Compared]) -> str:
    """Returns why comparisons are undecided, in one line."""
    return "; ".join(f"{each.label}: {_why(each)}" for each in undecided)


def _why(compared: Compared) -> str:
    if not compared.values:
        return "no seed has a finished run of each of its arms"
    if len(compared.values) == 1:
        return "one seed gives no interval"
    if compared.interval is None:
        same = "is 0" if abs(compared.mean or 0.0) <= NO_SPREAD else "is the same"
        return f"the difference {same} for every seed, so its spread is not known"
    return "the interval includes 0"
