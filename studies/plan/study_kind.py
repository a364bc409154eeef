"""What a kind of study is: its arms and its claims, as functions of the corpus and the recipe. Nothing is read here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tagmill.studies.plan.arm import Arm
from tagmill.studies.plan.study_plan import Claim


@dataclass(frozen=True)
class LabelFacts:
    """A label of the base view."""

    name: str
    synsets: tuple[str, ...]
    images: int  # training images that carry it


@dataclass(frozen=True)
class StudyFacts:
    """What the arms of a study depend on."""

    samples: int  # training samples of the base view
    images: int  # that a run sees
    model: str  # of the recipe
    models: tuple[str, ...] = ()  # that were asked for, smaller ones first
    labels: tuple[LabelFacts, ...] = ()  # of the base view
    scores: str = ""  # a teacher's scores of the corpus, where the study selects by them
    scored_labels: int = 0  # labels that a sample has in the scores


@dataclass(frozen=True)
class StudyKind:
    """A study that can be run."""

    name: str
    title: str
    natural: int  # place of the arm that is the recipe on the base view, or nearest to it
    seeds: int  # runs of each arm, by default
    arms: Callable[[StudyFacts], tuple[Arm, ...]]
    claims: Callable[[tuple[Arm, ...]], tuple[Claim, ...]]
    limits: tuple[str, ...] = ()  # what it cannot show, a sentence each
    targets: Callable[[StudyFacts], Mapping[str, tuple[LabelFacts, ...]]] = field(default=lambda facts: {})
    """Parts of the classes that are judged on their own, by name; their measures have the name at the end."""
    training_accuracy: bool = False  # whether runs are also judged on their training images' labels
    needs_scores: bool = False
