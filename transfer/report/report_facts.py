"""What a report says, as data: the facts of the run, and the figures of each outcome."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from statistics import mean

from PIL import __version__ as pillow_version

from tagmill.transfer.outcome.canonical import plain
from tagmill.transfer.outcome.figures import Confusion, Figures, figures_of
from tagmill.transfer.outcome.intervals import LEVEL, Estimate
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.over_seeds import t_interval
from tagmill.transfer.report.verified import paper_settings

REPORT_FORMAT = 1
LIBRARIES = ("tagmill", "torch", "timm", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Judged:
    """An outcome of the model, or of a random network of the same architecture."""

    outcome: Outcome
    digest: str  # of its file
    file: str  # name of it, beside the report
    random_seed: int | None = None  # of the random network; None: the trained model
    figures: Figures = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", figures_of(self.outcome))

    @property
    def variant(self) -> str:
        """What its settings other than seeds say: outcomes that differ in seeds only are averaged."""
        settings = self.outcome.settings
        parts = [self.outcome.protocol]
        if "shots" in settings:
            parts.append(f"{settings['shots']} a class")
        if "score" in settings:  # of zero-shot
            parts += [str(settings["score"]), *(["calibrated"] if settings.get("calibrated") else [])]
            parts += ["classes with a label"] if "classes" in settings else []
        return ", ".join(parts)


@dataclass(frozen=True)
class RunFacts:
    """What produced the outcomes."""

    model: str
    model_digest: str
    network: str | None
    train_set: str | None  # None: nothing is learned from a set
    train_digest: str | None
    test_set: str
    test_digest: str
    options: Mapping[str, object]


@dataclass(frozen=True)
class Average:
    """Mean top-1 accuracy over seeds, with the t interval of the mean; the value alone for one seed."""

    variant: str
    random: bool
    runs: int
    top1: Estimate | None  # None for one run: an outcome has its own interval
    value: float


def averages(judged: Sequence[Judged]) -> tuple[Average, ...]:
    """Returns the means over outcomes of one variant, trained model and random networks apart, in the order of their first."""
    found: dict[tuple[str, bool], list[float]] = {}
    for each in judged:
        found.setdefault((each.variant, each.random_seed is not None), []).append(each.figures.top1.value)
    return tuple(
        Average(variant, random, len(some), t_interval(some), mean(some)) for (variant, random), some in found.items()
    )


def library_versions() -> dict[str, str]:
    """Returns the versions of the libraries that decide figures."""
    found = {"python": platform.python_version(), "pillow": pillow_version}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def report_values(facts: RunFacts, judged: Iterable[Judged]) -> dict[str, object]:
    """Returns the report for JSON: the same for the same outcomes, without times. Shares are 0 to 1; an interval is
    [low, high]."""
    outcomes = list(judged)
    return {
        "format": REPORT_FORMAT,
        "level": LEVEL,
        "run": asdict(facts),
        "versions": library_versions(),
        "averages": [
            {
                "variant": each.variant,
                "random": each.random,
                "runs": each.runs,
                "top1": each.value,
                "interval": list(each.top1[1:]) if each.top1 else None,
            }
            for each in averages(outcomes)
        ],
        "outcomes": [_outcome_values(each) for each in outcomes],
    }


def _outcome_values(judged: Judged) -> dict[str, object]:
    outcome, figures = judged.outcome, judged.figures
    names = [each.name for each in outcome.classes]
    return {
        "protocol": outcome.protocol,
        "variant": judged.variant,
        "model": outcome.model,
        "random_seed": judged.random_seed,
        "set": outcome.set,
        "file": judged.file,
        "sha256": judged.digest,
        "settings": plain(dict(outcome.settings)),
        "papers": [each._asdict() for each in paper_settings(outcome)],
        "skipped": dict(outcome.skipped),
        "images": figures.images,
        "groups": figures.groups,
        "right": figures.right,
        "interval": figures.interval,
        "top1": _estimate(figures.top1),
        "top5": _estimate(figures.top5),
        "class_mean": _estimate(figures.class_mean),
        "classes": [
            {"name": each.name, "synset": each.synset, "images": each.images, "right": each.right}
            | {"top1": _estimate(each.top1)}
            for each in figures.per_class
        ],
        "confused_pairs": figures.confused_pairs,
        "confusions": [
            {"truth": names[each.truth], "predicted": predicted_name(each, names), "images": each.images}
            for each in figures.confusions
        ],
    }


def predicted_name(confusion: Confusion, names: Sequence[str]) -> str | None:
    """Returns the name of the predicted class; None for an image without a prediction."""
    return names[confusion.predicted] if confusion.predicted >= 0 else None


def _estimate(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else estimate._asdict()
