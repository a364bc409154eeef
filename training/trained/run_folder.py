"""Models in the output folder of a run: a checkpoint with the labels that the run has written beside it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tagmill.shards import ConfigError, Corpus, Store, TagmillError, View
from tagmill.training.checkpoints.layout import BEFORE, DONE, TRANSFORM, folder_of, read_object, steps_there
from tagmill.training.checkpoints.single_file import read_single_file
from tagmill.training.checkpoints.weights import find_checkpoint, has_average, read_checkpoint_weights, read_vocabulary
from tagmill.training.config.train import TrainConfig
from tagmill.training.trained.labels import ModelLabels, labels_of
from tagmill.training.trained.model import Trained, Transform, Weights, check_finite
from tagmill.training.trained.transform_file import parse_transform
from tagmill.training.trained.weight_file import read_json

Which = Literal["auto", "ema", "model"]
SINGLE = ".pt"


def is_run(source: str) -> bool:
    """Returns whether an address is the output of a run, or a checkpoint of one."""
    if source.startswith(("http://", "https://")):  # which cannot be listed
        return False
    store = Store(source)
    return source.endswith(SINGLE) or store.exists(DONE) or bool(steps_there(store)) or store.exists(BEFORE)


def read_run(source: str, which: Which = "auto", step: str = "auto") -> Trained:
    """Reads a checkpoint: that of `step` of an output (auto: the newest; best: the best by held-out accuracy), the one that
    `source` names itself, or a file of an earlier version. `which`: the weights' average (ema), the weights themselves
    (model), or auto: the average if the run has one. Raises TagmillError."""
    if source.endswith(SINGLE) or not (Store(source).exists(DONE) or steps_there(Store(source))):
        return _read_single(source if source.endswith(SINGLE) else f"{source.rstrip('/')}/{BEFORE}", which)
    wanted: int | Literal["newest", "best"] = "newest" if step == "auto" else "best" if step == "best" else int(step)
    store, done = find_checkpoint(source, wanted)
    averaged = has_average(store, done)
    if which == "ema" and not averaged:
        raise ConfigError("the run keeps no average of its weights", store.url, "give --weights model")
    weights = read_checkpoint_weights(store, done, "ema" if averaged and which != "model" else "model")
    where = f"{store.url}/{folder_of(done.step)}"
    check_finite(weights, where)
    found = trained_of(done.identity, labels_of(read_vocabulary(store, done)), weights, where)
    if TRANSFORM not in done.objects:
        return found
    return replace(found, transform=parse_transform(read_object(store, done, TRANSFORM), f"{where}/{TRANSFORM}"))


def _read_single(source: str, which: Which) -> Trained:
    if which == "ema":
        raise ConfigError("the run keeps no average of its weights", source, "give --weights model")
    file = Path(source)
    saved = read_single_file(file)
    check_finite(saved["model"], file)
    return trained_of(saved["identity"], _labels(file.parent, saved["identity"]), saved["model"], file)


def trained_of(settings: Mapping[str, Any], labels: ModelLabels | None, weights: Weights, where: object) -> Trained:
    """Returns the model of a run with these settings: fields of TrainConfig by name, or the identity in a checkpoint."""
    side = settings.get("evaluation_size") or TrainConfig(size=settings["size"]).loader_config().largest_size
    loss, arguments = settings.get("loss", "softmax"), dict(settings["model_args"])
    return Trained(str(where), weights, settings["model"], arguments, labels, loss, Transform(int(side)))


def _labels(output: Path, identity: dict[str, Any]) -> ModelLabels | None:
    """Returns the labels of a run of an earlier version, from its corpus; None where that has moved or has other labels than
    the checkpoint was made with."""
    store, wanted = Store(str(output)), identity.get("vocabulary")
    if not store.exists("plan.json"):
        return None
    config = read_json(store, "plan.json").get("config", {})
    try:
        found = View.open(Corpus.open(config["corpus"]), config["view"]).vocabulary
    except (TagmillError, LookupError, TypeError):
        return None
    return None if found is None or found.classes_sha256 != wanted else labels_of(found)
