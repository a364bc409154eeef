"""An arm of a study: what its runs have in common, and how it differs from the recipe on the base view."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ArmView:
    """A view that a study makes: the base view's rules with some changes."""

    name: str  # of the view in the corpus, behind `study-`
    changes: Mapping[str, object] = field(default_factory=dict)  # fields of ViewConfig that differ from the base view
    labels: tuple[str, ...] = ()  # classes to keep, each by its synsets with + between; () keeps all
    selection: Mapping[str, object] = field(default_factory=dict)  # of a teacher's scores; {}: labels are the tags'


@dataclass(frozen=True)
class Arm:
    """One of the settings that a study compares."""

    name: str
    text: str  # one line for people
    view: ArmView | None = None  # None: the base view itself
    train: Mapping[str, object] = field(default_factory=dict)  # fields of TrainConfig that differ from the recipe
    share: float = 1.0  # of the study's images that its runs see
    x: float = 0.0  # its place on the axis of a claim that rises, where it has one
    note: str = ""  # what it does not share with other arms; it must say so where `share` is not 1
