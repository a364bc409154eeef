"""Models in the output folder of a run: a checkpoint with the labels that the run has written beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tagmill.shards import ConfigError, Corpus, Store, TagmillError, View, Vocabulary
from tagmill.training.checkpoints import checkpoint
from tagmill.training.config.train import TrainConfig
from tagmill.training.trained.labels import VOCABULARY_FILE, ModelLabels, labels_of
from tagmill.training.trained.model import Trained, Transform, Weights, check_finite
from tagmill.training.trained.weight_file import read_json, read_text

Which = Literal["auto", "ema", "model"]


def is_run(path: Path) -> bool:
    """Returns whether a path is the output of a run, or a checkpoint of one."""
    return path.suffix == ".pt" or Path(path, checkpoint.NEWEST).exists()


def read_run(path: Path, which: Which = "auto", step: str = "auto") -> Trained:
    """Reads a checkpoint file, or that of `step` (auto: the newest) of an output folder. `which`: the weights' average
    (ema), the weights themselves (model), or auto: the average if the run has one. Raises TagmillError."""
    output = path.parent if path.suffix == ".pt" else path
    file = path if path.suffix == ".pt" else checkpoint.find(str(output), step)
    if file is None:
        raise ConfigError("no checkpoint", output, "give the output of a run that has saved one")
    saved = checkpoint.read(file)
    identity = saved["identity"]
    averaged = saved.get("ema")
    if which == "ema" and averaged is None:
        raise ConfigError("the run keeps no average of its weights", file, "give --weights model")
    weights = saved["model"] if which == "model" or averaged is None else averaged
    check_finite(weights, file)
    return trained_of(identity, _labels(output, identity), weights, file)


def trained_of(settings: Mapping[str, Any], labels: ModelLabels | None, weights: Weights, where: object) -> Trained:
    """Returns the model of a run with these settings: fields of TrainConfig by name, or the identity in a checkpoint."""
    side = settings.get("evaluation_size") or TrainConfig(size=settings["size"]).loader_config().largest_size
    loss, arguments = settings.get("loss", "softmax"), dict(settings["model_args"])
    return Trained(str(where), weights, settings["model"], arguments, labels, loss, Transform(int(side)))


def _labels(output: Path, identity: dict[str, Any]) -> ModelLabels | None:
    """Returns the labels of a run: from its vocabulary.json, or, in outputs of before, from its corpus; None where neither
    has the labels that the checkpoint was made with."""
    store, wanted = Store(str(output)), identity["vocabulary"]
    found = None
    if store.exists(VOCABULARY_FILE):
        found = Vocabulary.parse(read_text(store, VOCABULARY_FILE), str(output / VOCABULARY_FILE))
    elif store.exists("plan.json"):
        config = read_json(store, "plan.json").get("config", {})
        try:
            found = View.open(Corpus.open(config["corpus"]), config["view"]).vocabulary
        except (TagmillError, LookupError, TypeError):
            return None  # the corpus has moved
    return None if found is None or found.classes_sha256 != wanted else labels_of(found)
