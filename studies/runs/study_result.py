"""All that a study found, for its verdict and its page."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tagmill.studies.plan.study_plan import Claim
from tagmill.studies.runs.run_result import RunResult


@dataclass(frozen=True)
class ArmFacts:
    """What the runs of an arm have in common."""

    name: str
    text: str  # what distinguishes it, one line
    view: str  # name of its view
    images: int  # seen in training, by each run
    note: str = ""  # what it does not share with the other arms, such as other images seen; empty where nothing


@dataclass(frozen=True)
class StudyResult:
    """A study that came to its end. All of it but the seconds of the runs is the same for the same plan."""

    study: str  # its name, such as noise
    title: str
    natural: str  # the arm that is nothing but the recipe: its runs show how far seeds differ
    seeds: int  # planned for each arm
    arms: tuple[ArmFacts, ...]
    claims: tuple[Claim, ...]
    limits: tuple[str, ...]  # what this study cannot show, a sentence each
    notes: tuple[str, ...]  # what to know of its input, such as clean labels that are tags
    measures: Mapping[str, str]  # what each key of RunResult.measures is, in the order to show them
    plan: Mapping[str, object]  # plan.json: recipe, corpus, views, probe sets, code, versions, runs
    results: tuple[RunResult, ...]  # of every run of the plan, in its order; failed ones too
    folder: str = field(default="", compare=False)  # path or URL of the study
