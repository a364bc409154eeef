"""A teacher: a trained model with a last layer, and what its outputs mean."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, cast

import torch

from tagmill.shards import ConfigError
from tagmill.studies.scores.score_files import Loss
from tagmill.training.trained.labels import ModelLabel, ModelLabels
from tagmill.transfer.features.backbone import Backbone, open_backbone, read_model

TeacherDevice = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class TeacherSource:
    """What a person calls a teacher."""

    source: str  # as for `read_model`
    network: str | None = None  # name in timm, for weights that do not say it
    device: TeacherDevice = "auto"


@dataclass(frozen=True, eq=False)
class Teacher:
    """A network that gives the outputs of its labels, on its device."""

    asked: TeacherSource
    backbone: Backbone
    labels: ModelLabels
    loss: Loss
    notes: tuple[str, ...] = ()  # what the model does not say, and what was taken instead

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What determines its outputs. Where its files are is not part of it."""
        trained = self.backbone.trained
        return {
            "name": f"{trained.network} {trained.digest[:12]}",
            "digest": trained.digest,
            "network": trained.network,
            "network_args": dict(trained.network_args),
            "transform": asdict(self.backbone.transform),
        }


def open_teacher(asked: TeacherSource) -> Teacher:
    """Reads and builds a teacher. On GPUs the process takes the one of LOCAL_RANK.

    Labels that the model does not name are named by their numbers, and a model that does not say its loss is taken for one
    with a softmax, as timm's are; `notes` say so. Raises ConfigError for a model without a last layer and for labels of
    another number than the outputs, and TagmillError for a model that cannot be read, built or run.
    """
    trained = read_model(asked.source, asked.network)
    outputs = int(cast(Any, trained.skeleton()).num_classes or 0)
    if not outputs:
        remedy = "give a model that was trained with labels"
        what = "a teacher without a last layer: it gives features and no scores of labels"
        raise ConfigError(what, asked.source, remedy)
    if asked.device != "cpu" and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backbone = open_backbone(trained, outputs="logits", device=asked.device)
    if trained.labels is not None and len(trained.labels) != backbone.width:
        what = f"a teacher with {backbone.width:,} outputs for {len(trained.labels):,} labels"
        raise ConfigError(what, asked.source, "export the model again")
    notes = list[str]()
    if trained.labels is None:
        notes.append("the teacher names no labels: they are named by their numbers, and have no synsets")
    if trained.loss not in ("softmax", "sigmoid"):
        notes.append("the teacher does not say its loss: its scores are those of a softmax")
    labels = trained.labels or tuple(ModelLabel(str(number)) for number in range(backbone.width))
    return Teacher(asked, backbone, labels, "sigmoid" if trained.loss == "sigmoid" else "softmax", tuple(notes))
