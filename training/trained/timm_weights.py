"""Pretrained models of timm, from its cache or the Hugging Face hub."""

import logging
import re
from typing import Any, cast

import timm
from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import nn

from tagmill.shards import ConfigError, TagmillError
from tagmill.training.trained.labels import ModelLabel, ModelLabels
from tagmill.training.trained.model import Trained, Transform

PREFIX = "timm:"
_SYNSET = re.compile(r"n\d{8}")


def read_timm(source: str) -> Trained:
    """Loads the pretrained model of `timm:NAME` or `timm:NAME.TAG`. Raises ConfigError for a name without weights, and
    TagmillError where they are neither in the cache nor can be downloaded."""
    name = source.removeprefix(PREFIX)
    if ":" in name or not timm.is_model(name.partition(".")[0]) or not timm.models.is_model_pretrained(name):
        near = ", ".join(timm.list_pretrained(f"{name.partition('.')[0][:8]}*")[:5]) or "none"
        raise ConfigError(f"timm has no pretrained weights {name!r}", source, f"similar names: {near}")
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)  # its retries; the error below says what came of them
    try:
        model = cast(nn.Module, timm.create_model(name, pretrained=True))
    except Exception as error:  # of the hub's client, its network library, or of the file
        cause = str(error).strip().splitlines()
        what = f"no weights in the cache, and none downloaded: {type(error).__name__}: {cause[0] if cause else ''}"
        remedy = "check the network, or give a .safetensors file"
        raise TagmillError(what[:300], source, remedy) from error
    finally:
        hub.setLevel(level)
    facts: Any = model.pretrained_cfg
    network = str(facts["architecture"])
    return Trained(source, model.state_dict(), network, {}, labels_in(facts), "softmax", transform_in(facts))


def labels_in(facts: Any) -> ModelLabels | None:
    """Returns the labels of a pretrained configuration: its own names, else ImageNet's where their number says so. Synsets of
    ImageNet are those of WordNet 3.0."""
    number, names = facts.get("num_classes"), facts.get("label_names")
    if names and len(names) == number:
        told = facts.get("label_descriptions") or {}
        texts = ((name, str(told.get(name, name)).split(", ")) for name in map(str, names))
        return tuple(
            ModelLabel(words[0], (name,) if _SYNSET.fullmatch(name) else (), tuple(words)) for name, words in texts
        )
    subset = infer_imagenet_subset({"num_classes": number})
    if not subset:
        return None
    info = ImageNetInfo(subset)
    words = (info.index_to_description(place).split(", ") for place in range(number))
    return tuple(
        ModelLabel(each[0], (synset,), tuple(each)) for synset, each in zip(info.label_names(), words, strict=True)
    )


def transform_in(facts: Any) -> Transform:
    """Returns the evaluation transform of a pretrained configuration. The filter is ours, whatever it names."""
    size = int(facts["input_size"][-1])
    mean, std = (tuple(255 * float(value) for value in facts[name]) for name in ("mean", "std"))
    share, squeezed = min(1.0, float(facts.get("crop_pct") or 0.875)), facts.get("crop_mode") == "squash"
    return Transform(size, share, mean, std, squeezed)  # type: ignore[arg-type]
