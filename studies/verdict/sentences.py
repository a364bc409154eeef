"""Verdicts in words, for the screen and the page. Shares are written in percent, differences of shares in points of percent."""

from tagmill.studies.runs.study_result import StudyResult
from tagmill.studies.verdict.comparisons import Compared
from tagmill.studies.verdict.decide import Decision
from tagmill.studies.verdict.judge import ClaimVerdict, Curvature, StudyVerdict
from tagmill.studies.verdict.paper_sizes import SizeFound
from tagmill.studies.verdict.seeds import ERROR_RATE, MOST_SEEDS, POWER, SeedsNeeded
from tagmill.studies.verdict.spread import WANTED, SeedSpread
from tagmill.transfer.outcome.intervals import Estimate


def verdict_lines(result: StudyResult, verdict: StudyVerdict) -> list[str]:
    """Returns what a study ends with on a screen: the spread of seeds, each claim with its verdict, runs that failed. Texts of
    arms and claims are as they were given: the caller makes them safe for a terminal."""
    lines = spread_lines(verdict)
    for each in verdict.claims:
        lines += [f"{each.decision.verdict.upper()}: {each.claim.text} [{each.claim.measure}; {each.claim.source}]"]
        lines += [f"  {line}" for line in claim_lines(each)]
    if verdict.failed:
        count, of = len(verdict.failed), len(result.results)
        lines.append(f"{count} of {of} runs failed; they are in no mean and no comparison:")
        lines += [f"  {each.arm}, seed {each.seed}: {each.failed}" for each in verdict.failed]
    return lines


def spread_lines(verdict: StudyVerdict) -> list[str]:
    """Returns how far natural runs differ and what their number allows to see, a line for each measure."""
    if not verdict.spreads:
        return ["fewer than two natural runs finished: the spread of seeds is not known"]
    return [spread_sentence(each) for each in verdict.spreads]


def spread_sentence(spread: SeedSpread) -> str:
    """Returns the spread of one measure, and the smallest difference that the planned seeds can see."""
    few = f"; {WANTED} are wanted" if spread.runs < WANTED else ""
    text = (
        f"{spread.measure} of {spread.runs} natural runs{few}: mean {percent(spread.mean)}, standard deviation over seeds "
        f"{points(spread.deviation, False)} (95 % interval {number(spread.low)} to {number(spread.high)})"
    )
    if spread.visible is None:
        return f"{text}; one seed for each arm shows no difference"
    return (
        f"{text}; {spread.seeds} seeds for each arm find differences of {points(spread.visible, False)} or more "
        f"(power {POWER}, error rate {ERROR_RATE:.0%} over {_comparisons(spread.comparisons)})"
    )


def claim_lines(verdict: ClaimVerdict) -> list[str]:
    """Returns what decided a claim, and what else its runs show."""
    lines = [comparison_sentence(each) for each in verdict.compared]
    lines.append(decision_sentence(verdict.decision, verdict.needed))
    if verdict.curvature is not None:
        lines.append(curvature_sentence(verdict.curvature))
    return lines + [size_sentence(each) for each in verdict.sizes]


def comparison_sentence(compared: Compared) -> str:
    """Returns a comparison with its interval, seeds and p value."""
    if compared.mean is None:
        return f"{compared.label}: not measured"
    seeds = len(compared.values)
    text = f"{compared.label}: {points(compared.mean)}"
    if compared.interval is not None and compared.p_adjusted is not None:
        text += f" ({span(compared.interval)}; paired t interval of {100 * compared.level:.3g} %"
        text += f", p {p_value(compared.p_adjusted)} after Holm)"
    text += f", {seeds} seed{'s' if seeds != 1 else ''}"
    if compared.dropped:
        text += f"; left out, because an arm lacks its run: seed {', '.join(map(str, compared.dropped))}"
    return text


def decision_sentence(decision: Decision, needed: SeedsNeeded | None) -> str:
    """Returns the verdict with its reason, and the seeds that would tell."""
    text = f"{decision.verdict}: {decision.reason}"
    if decision.verdict != "cannot tell":
        return text
    if needed is None:
        return f"{text}; how many seeds would tell cannot be estimated"
    if needed.capped:
        return f"{text}; more than {MOST_SEEDS:,} seeds would be needed if the difference is as measured"
    return f"{text}; about {needed.count:,} seeds for each arm would tell if the difference is as measured"


def curvature_sentence(curvature: Curvature) -> str:
    """Returns whether the line over log(x) is bent."""
    seen = {"down": "the line bends down", "up": "the line bends up"}.get(curvature.bends, "no curvature is seen")
    found = curvature.interval
    return f"{seen}: {points(found.value)} per doubling squared ({span(found)}; p {p_value(curvature.p)})"


def size_sentence(size: SizeFound) -> str:
    """Returns the size that a paper gives beside the measured one."""
    paper = size.paper
    text = (
        f"{paper.minuend} minus {paper.subtrahend}: in the paper {paper_range(paper.low, paper.high)} [{paper.source}]"
    )
    if size.measured is None:
        return f"{text}; not measured here, {size.seeds} seed{'s' if size.seeds != 1 else ''}"
    compared = {"larger": "larger than the paper's", "smaller": "smaller than the paper's"}.get(
        size.relation, "the intervals overlap"
    )
    return f"{text}; here {points(size.measured.value)} ({span(size.measured)}): {compared}; only the order is claimed"


def paper_range(low: float | None, high: float | None) -> str:
    """Returns the range of a paper's difference in words."""
    if low is None and high is None:
        return "no number"
    if low is None:
        return f"less than {points(high or 0.0, False)}"
    if high is None:
        return f"more than {points(low, False)}"
    return points(low, False) if low == high else f"{number(low)} to {points(high, False)}"


def percent(share: float) -> str:
    """Returns a share in percent, such as `76.1 %`."""
    return f"{number(share)} %"


def points(difference: float, signed: bool = True) -> str:
    """Returns a difference of shares in points of percent, such as `+2.1 points`."""
    text = number(difference)
    return f"{'+' if signed and not text.startswith('-') else ''}{text} points"


def span(interval: Estimate) -> str:
    """Returns the ends of an interval in points."""
    return f"{number(interval.low)} to {number(interval.high)}"


def number(share: float) -> str:
    """Returns a share times 100 with one digit after the point, and two significant digits of a small one."""
    value = 100 * share
    text = f"{value:.1f}" if abs(value) >= 1 or value == 0 else f"{value:.2g}"
    return "0" if float(text) == 0 else text


def p_value(p: float) -> str:
    """Returns a p value with two significant digits."""
    return "below 0.0001" if p < 1e-4 else f"{p:.2g}"


def _comparisons(count: int) -> str:
    return f"{count} comparison{'s' if count != 1 else ''}"
