"""A study as data: its views, its runs, and the claims that the runs are to decide."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ClaimKind = Literal["rises", "ordered", "above", "interaction", "interior"]
"""rises: the measure grows with log(x). ordered: each arm is below the one before it. above: the second arm is above the first.
interaction: of four arms, the second minus the first is above the fourth minus the third. interior: the best arm is neither the
first nor the last."""


@dataclass(frozen=True)
class PaperSize:
    """A difference between two arms that a paper gives as a number. Its size is compared and said; no verdict depends on it."""

    minuend: str  # the difference is this arm minus the other
    subtrahend: str
    low: float | None  # the paper's difference is between these, as shares; None: no bound is given
    high: float | None
    source: str  # the paper, and how far the number is verified


@dataclass(frozen=True)
class Claim:
    """One finding of a paper that the runs of a study can support or contradict."""

    text: str  # what the paper found
    source: str  # the paper, and how far the finding is verified: V, V2 or unverified
    kind: ClaimKind
    measure: str  # key of RunResult.measures
    arms: tuple[str, ...]  # in the order that `kind` speaks of
    x: tuple[float, ...] = ()  # of each arm, for "rises": training images, parameters, ...
    x_name: str = "x"  # what x is, for the axis of a drawing
    note: str = ""  # where this scale is known to differ from the paper's
    sizes: tuple[PaperSize, ...] = ()  # of `measure`


@dataclass(frozen=True)
class PlannedRun:
    """One run: a view, a seed, and how the network is trained."""

    arm: str
    seed: int
    view: str  # name of a view of the corpus
    images: int  # seen in training
    train: Mapping[str, object] = field(
        default_factory=dict
    )  # fields of TrainConfig that differ from the study's recipe
