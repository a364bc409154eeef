"""One run as a message to the process that carries it out."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from tagmill.shards.formats.record import sha256_hex
from tagmill.studies.plan.study_plan import PlannedRun
from tagmill.training.config.train import TrainConfig
from tagmill.transfer.outcome.canonical import canonical_json

ERROR = "tagmill study: "
"""What the last line of a run begins with that ended with an error that a person can mend."""
RUN_FORMAT = 1  # of what a run measures
PLACES = frozenset({"corpus", "output", "recipe", "dry_run", "processes", "resume", "extend", "view"})
"""Fields of TrainConfig that say where things are: what a run is does not depend on them. The view is named by its digest."""


@dataclass(frozen=True)
class Judging:
    """How the networks of a study are judged."""

    corpus: str
    base_view: str
    sets: tuple[
        str, ...
    ] = ()  # labelled sets as `tagmill transfer` takes them; () for the held-out samples of the corpus
    split: str | None = None
    test_split: str | None = None
    targets: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] | None = (
        None  # (name, synsets) of classes, by target
    )
    training_accuracy: bool = False
    probes: bool = True  # whether probes are fitted on the sets
    validation_view: str | None = None  # whose training samples decide between learning rates


@dataclass(frozen=True)
class RunTask:
    """A run, and all that its process needs."""

    run: str  # digest that names its folder
    arm: str
    seed: int
    images: int
    same_head: bool  # whether the view has the labels of the base view
    config: Mapping[str, Any]  # fields of TrainConfig
    judging: Judging
    folder: str  # of the run, path or URL
    features: str  # folder of features, path or URL

    def text(self) -> str:
        """Returns the message, one line."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the task of a message."""
        values = json.loads(text)
        judging = values["judging"]
        targets = judging["targets"] and {
            name: tuple((label, tuple(synsets)) for label, synsets in labels)
            for name, labels in judging["targets"].items()
        }
        values["judging"] = Judging(**{**judging, "sets": tuple(judging["sets"]), "targets": targets})
        return cls(**values)

    def train_config(self) -> TrainConfig:
        """Returns the settings of the training."""
        made: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in self.config.items()
        }
        return TrainConfig(**made)


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """Returns the settings that decide what a run is, by name."""
    return {name: value for name, value in asdict(config).items() if name not in PLACES}


def digest_of_run(run: PlannedRun, config: TrainConfig, view: str, judged_by: Mapping[str, Any], code: str) -> str:
    """Returns the name of a run's folder, 16 hex digits. `view`: digest of its view; `judged_by`: digests of the base view and
    of the sets, and what is measured."""
    facts = {
        "format": RUN_FORMAT,
        "arm": run.arm,
        "settings": settings_of(config),
        "view": view,
        "judged_by": judged_by,
        "code": code,
    }
    return sha256_hex(canonical_json(facts))[:16]
