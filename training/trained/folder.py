"""The folder of a model that timm and Hugging Face load: weights, configuration and labels."""

import json
import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from tagmill.pipeline import LoaderConfig
from tagmill.shards import ConfigError, Store, TagmillError
from tagmill.training.trained.labels import LABELS_FILE, labels_json, parse_labels, unique_names
from tagmill.training.trained.model import Trained, Transform
from tagmill.training.trained.timm_weights import labels_in, transform_in
from tagmill.training.trained.weight_file import read_json, read_text, read_weights, write_weights

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
MOST_SIDE = 8192  # pixels


def write_folder(trained: Trained, folder: str) -> None:
    """Writes `model.safetensors`, `labels.json` and, last, `config.json` in timm's schema. A folder that was written before
    is replaced file by file; `config.json` is taken away first, so that a half-written folder is none. Raises ConfigError for a
    folder that has another program's."""
    model, store = trained.skeleton(), Store(folder)
    if store.exists(CONFIG_FILE) and "tagmill" not in read_json(store, CONFIG_FILE):
        raise ConfigError(f"the folder has a {CONFIG_FILE} that is not ours", folder, "give another --output")
    store.delete(CONFIG_FILE)
    write_weights(trained.weights, store, WEIGHTS_FILE)
    if trained.labels is not None:
        store.put(LABELS_FILE, labels_json(trained.labels))
    else:
        store.delete(LABELS_FILE)
    store.put(CONFIG_FILE, json.dumps(configuration(trained, model), indent=1).encode() + b"\n")


def configuration(trained: Trained, model: nn.Module) -> dict[str, Any]:
    """Returns the content of `config.json`. The field `tagmill` has the loss, which timm does not need."""
    own: Any = model
    transform, base = trained.transform or Transform(), dict(own.pretrained_cfg or {})
    size = [3, transform.size, transform.size]
    facts = {
        "tag": "tagmill",
        "custom_load": False,
        "input_size": size,
        "fixed_input_size": bool(base.get("fixed_input_size", False)),
        "interpolation": "bilinear",
        "crop_pct": crop_share(transform),
        "crop_mode": "squash" if transform.squeezed else "center",
        "mean": [round(value / 255, 6) for value in transform.mean],
        "std": [round(value / 255, 6) for value in transform.std],
        "num_classes": own.num_classes,
        "first_conv": base.get("first_conv"),
        "classifier": base.get("classifier"),
    }
    found = {"architecture": trained.network, "num_classes": own.num_classes, "num_features": own.num_features}
    if isinstance(pool := getattr(own, "global_pool", None), str) and pool:
        found["global_pool"] = pool
    if trained.labels is not None:
        names = unique_names(trained.labels)
        words = (", ".join(label.words) or label.name for label in trained.labels)
        found |= {"label_names": names, "label_descriptions": dict(zip(names, words, strict=True))}
    if trained.network_args:
        found["model_args"] = dict(trained.network_args)
    return {**found, "pretrained_cfg": facts, "tagmill": {"loss": trained.loss}}


def crop_share(transform: Transform) -> float:
    """Returns timm's `crop_pct`: it rounds size / crop_pct down, where the loader rounds to the nearest pixel."""
    short = round(transform.size / transform.share)
    plain = transform.size / short
    return plain if math.floor(transform.size / plain) == short else transform.size / (short + 0.5)


def is_folder(store: Store) -> bool:
    """Returns whether a store has an exported model."""
    return store.exists(CONFIG_FILE) and store.exists(WEIGHTS_FILE)


def read_folder(folder: str) -> Trained:
    """Reads an exported model. Raises TagmillError where files are missing, broken or disagree."""
    store = Store(folder)
    where, facts = f"{store.url}/{CONFIG_FILE}", read_json(store, CONFIG_FILE)
    try:
        network, arguments = str(facts["architecture"]), dict(facts.get("model_args") or {})
        inner = dict(facts["pretrained_cfg"])
        own = facts.get("tagmill", {})
        loss = own.get("loss") if isinstance(own, Mapping) else None
        transform = transform_in(inner)
        named = {name: facts[name] for name in ("num_classes", "label_names", "label_descriptions") if name in facts}
        labels = labels_in(inner | named)
        _check(transform)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"not the configuration of a model: {type(error).__name__}: {error}"
        raise TagmillError(what, where, "export the model again") from error
    if store.exists(LABELS_FILE):
        labels = parse_labels(read_text(store, LABELS_FILE), f"{store.url}/{LABELS_FILE}")
    weights = read_weights(f"{store.url}/{WEIGHTS_FILE}")
    return Trained(store.url, weights, network, arguments, labels, loss, transform)


def _check(transform: Transform) -> None:
    LoaderConfig(size=transform.size, mean=transform.mean, std=transform.std)  # raises ConfigError
    if transform.size > MOST_SIDE:
        raise ValueError(f"images of {transform.size} pixels, at most {MOST_SIDE} are taken")
    if not 0 < transform.share <= 1:
        raise ValueError(f"crop_pct {transform.share}")
