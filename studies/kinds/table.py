"""All kinds of studies, by name."""

from typing import Literal

from tagmill.studies.kinds.capacity import CAPACITY
from tagmill.studies.kinds.k_per_class import K_PER_CLASS
from tagmill.studies.kinds.loss import LOSS
from tagmill.studies.kinds.noise import NOISE
from tagmill.studies.kinds.norm import NORM
from tagmill.studies.kinds.p import P
from tagmill.studies.kinds.resampling import RESAMPLING
from tagmill.studies.kinds.scaling import SCALING
from tagmill.studies.kinds.schedule import SCHEDULE
from tagmill.studies.kinds.vocabulary import VOCABULARY
from tagmill.studies.plan.study_kind import StudyKind

StudyName = Literal[
    "scaling", "capacity", "schedule", "vocabulary", "resampling", "noise", "loss", "norm", "k-per-class", "p"
]
KINDS: dict[str, StudyKind] = {
    kind.name: kind for kind in (SCALING, CAPACITY, SCHEDULE, VOCABULARY, RESAMPLING, NOISE, LOSS, NORM, K_PER_CLASS, P)
}
