"""What `report.json` says of the last run; a report of another version, or an altered one, gives what can be read."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

from tagmill.shards import Corpus

REPORT_JSON = "report.json"
# Reasons by the step of an ingest that they end a row at; a reason that is not listed is of the fetch.
STEPS = (
    ("the image is usable", frozenset(
        ["not_an_image", "truncated", "too_small", "too_many_pixels", "too_long", "too_narrow", "needs_encoding",
         "decoder_failed", "decoder_crashed", "decoder_timeout"]
    )),
    ("allowed by lists", frozenset(["blocked", "taken_down", "evaluation", "placeholder"])),
    ("not a duplicate", frozenset(["duplicate", "near_duplicate"])),
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A step of the funnel: how many rows are left after it."""

    name: str
    rows: int
    lost: int


@dataclass(frozen=True)
class RunFacts:
    """The numbers of the last run."""

    rows: int
    samples: int
    rejects: dict[str, int]  # by reason, most first
    whole: bool  # report.json was there; otherwise these are sums over all runs, or over the tables that were read
    seconds: dict[str, float] = field(default_factory=dict)  # by stage
    recall: tuple[float, ...] = ()  # predicted share of near duplicates that are found, by Hamming distance
    pairs: dict[int, int] = field(default_factory=dict)  # near duplicates found, by Hamming distance
    evaluation: dict[str, dict[str, int]] = field(default_factory=dict)  # counts by evaluation set
    warnings: tuple[str, ...] = ()

    def funnel(self) -> list[Step]:
        """Returns the steps from rows to samples; the last one's rows are the samples."""
        left, steps = self.rows, [Step("rows of the lists", self.rows, 0)]
        known = frozenset().union(*(reasons for _, reasons in STEPS))
        lost = sum(count for reason, count in self.rejects.items() if reason not in known)
        for name, count in [
            ("the image could be fetched", lost),
            *((name, sum(self.rejects.get(reason, 0) for reason in reasons)) for name, reasons in STEPS),
        ]:
            left -= count
            steps.append(Step(name, left, count))
        return steps


def run_facts(corpus: Corpus, counted: dict[str, int]) -> RunFacts:
    """Reads `report.json`. Without it the totals of the corpus are used, and reasons `counted` in tables of rejects."""
    totals = corpus.file.totals
    try:
        text = json.loads(corpus.store.read(REPORT_JSON))
        rejects = _counts(text["rejects"])
        return RunFacts(
            rows=int(text["rows"]),
            samples=sum(_counts(text["samples"]).values()),
            rejects=rejects,
            whole=True,
            seconds={str(stage): float(took) for stage, took in text.get("seconds", {}).items()},
            **_sets(text.get("sets") or {}),
            warnings=_warnings(text),
        )
    except FileNotFoundError:
        warning = "There is no report.json: seconds, recall and the reasons of rows that were not read are missing."
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        warning = f"report.json cannot be read ({error}): seconds and recall are missing."
    rejects = dict(sorted(counted.items(), key=lambda each: (-each[1], each[0])))
    rows = sum(rejects.values()) + totals.get("samples", 0)
    return RunFacts(rows, totals.get("samples", 0), rejects, whole=False, warnings=(warning,))


def _counts(text: dict[str, Any]) -> dict[str, int]:
    return {str(name): int(count) for name, count in text.items()}


def _sets(text: dict[str, Any]) -> dict[str, Any]:
    near = text.get("near") or {}
    recall = tuple(float(share) for share in near.get("predicted", ()))
    return {
        "recall": tuple(min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0 for share in recall[:257]),
        "pairs": {int(distance): int(count) for distance, count in (text.get("pairs") or {}).items()},
        "evaluation": {str(name): _counts(counts) for name, counts in (text.get("evaluation") or {}).items()},
    }


def _warnings(text: dict[str, Any]) -> tuple[str, ...]:
    few = text.get("few_labels")
    return (f"Hardly any labels: {few['why']}; {few['remedy']}.",) if few else ()
