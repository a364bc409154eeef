"""Checkpoints: what is saved, which run may continue from which, and how many are kept."""

import hashlib
import io
import json
import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tagmill.shards import ConfigError, Store, TagmillError, Vocabulary
from tagmill.training.config.train import TrainConfig

NEWEST = "checkpoint.pt"
_KEPT = re.compile(r"checkpoint-(\d+)\.pt")
# What may change between a run and its resumption: where things are, how fast, and in how many parts a step is computed.
# The loader's state has its own rules.
FREE = frozenset(
    {
        *("recipe", "corpus", "output", "resume", "dry_run", "processes", "checkpoint_every", "keep", "log_every"),
        *("channels_last", "compile", "device", "backend", "threads", "streams", "memory_limit", "failure_budget"),
        *("accumulation", "precision", "evaluate_every", "tensorboard", "wandb"),
    }
)
# Fields that older checkpoints lack, with the value that runs had before.
NOT_YET = {
    "loss": "softmax",
    "smoothing": 0.0,
    "label_weights": "equal",
    "clip": None,
    "warmup_images": None,
    "final_lr": 0.0,
    "halvings": None,
    "milestone_unit": "share",
}
AWAY = "give another --output, or --resume never to start over"


def identity(config: TrainConfig, vocabulary: Vocabulary) -> dict[str, Any]:
    """Returns the values, besides the loader's state, on which a run depends: a checkpoint must agree with them."""
    own = {name: value for name, value in json.loads(json.dumps(asdict(config))).items() if name not in FREE}
    return {"format": 1, "vocabulary": vocabulary.classes_sha256, **own}


def find(output: str, resume: str) -> Path | None:
    """Returns the checkpoint to continue from: the newest, or that of the step that `resume` names; None if there is none,
    or it is 'never'. Raises ConfigError, with the steps that there are, for a step without one."""
    if resume == "never":
        return None
    if resume == "auto":
        return newest if (newest := Path(output, NEWEST)).exists() else None
    there = kept(output)
    if int(resume) not in there:
        steps = ", ".join(map(str, sorted(there))) or "none"
        raise ConfigError(
            f"no checkpoint of step {resume}", output, f"steps that are kept: {steps}; auto takes the newest"
        )
    return there[int(resume)]


def kept(output: str) -> dict[int, Path]:
    """Returns the checkpoints that are kept, by step."""
    found = ((_KEPT.fullmatch(path.name), path) for path in Path(output).glob("checkpoint-*.pt"))
    return {int(match[1]): path for match, path in found if match}


def restore(path: Path, wanted: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """Loads a checkpoint. Raises TagmillError that names each value that differs from `wanted`, with the remedy."""
    saved = read(path)
    found = {**NOT_YET, **saved["identity"]}
    parts = found.get("accumulation", 1)  # older loaders gave a step's images in that many batches
    if isinstance(parts, int) and isinstance(loader := saved.get("loader"), dict) and "batch_size" in loader:
        saved["loader"] = {**loader, "batch_size": loader["batch_size"] * parts}
    found = {name: value for name, value in found.items() if name not in FREE}
    if found.get("vocabulary") == hashlib.sha256(vocabulary.json()).hexdigest():  # as in older checkpoints
        found["vocabulary"] = wanted["vocabulary"]
    if differ := sorted(name for name in {**wanted, **found} if found.get(name) != wanted.get(name)):
        what = "; ".join(f"{name} is {found.get(name)!r}, this run's is {wanted.get(name)!r}" for name in differ)
        raise TagmillError(f"checkpoint of another run: {what}", path, f"give the same values, or {AWAY}")
    return saved


def save(store: Store, output: str, content: Mapping[str, Any], keep: int) -> None:
    """Writes the newest checkpoint, keeps it under its step ("step" of `content`) too, and deletes those beyond the `keep`
    newest and those of later steps, which a run that went back to an earlier step has given up. A kill at any moment, or a
    full disk, leaves a whole one."""
    torch.save(dict(content), sink := io.BytesIO())
    newest, step = Path(output, NEWEST), int(content["step"])
    store.put(NEWEST, sink.getvalue())  # atomic
    own = Path(output, f"checkpoint-{step}.pt")
    own.unlink(missing_ok=True)
    try:
        os.link(newest, own)
    except OSError:  # a file system without links
        store.put(own.name, sink.getvalue())
    past = sorted((each for each in kept(output) if each <= step), reverse=True)
    for each, path in kept(output).items():
        if each not in past[:keep]:
            path.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """Reads a checkpoint, whatever run it is of. Raises TagmillError for a file that is none."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        dict(saved["identity"])
        return saved
    except (pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError) as error:
        raise TagmillError(f"not a checkpoint, or a truncated one ({type(error).__name__})", path, AWAY) from error
