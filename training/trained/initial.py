"""Begins a run from the weights of a trained model (`--init`): the network takes what fits, its last layer the rows of labels
that are the same."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from rich.console import Console
from timm.layers import resample_abs_pos_embed
from torch import nn

from tagmill.pipeline import LoaderConfig
from tagmill.shards import ConfigError, Store, Vocabulary
from tagmill.training.checkpoints.layout import steps_there
from tagmill.training.config.train import TrainConfig
from tagmill.training.metrics.text import say
from tagmill.training.model.head import classifier_path
from tagmill.training.trained.carried import carried_rows
from tagmill.training.trained.model import Trained, Weights, check_finite
from tagmill.training.trained.source import read_trained

MOST_NEW = 0.01  # of the numbers of a network without its last layer, that the source may lack
_NAMES_SHOWN = 3  # names in a line
POSITIONS = "pos_embed"
_WRAPPERS = ("module.", "_orig_mod.")  # what DDP and torch.compile put before names


@dataclass
class Start:
    """How a run begins."""

    digest: str | None = None
    """SHA-256 of the weights and labels of the source; None without one."""
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def begin_from(config: TrainConfig, model: nn.Module, vocabulary: Vocabulary, console: Console) -> Start:
    """Gives a new network the weights of `config.init`, if there is one, and prints what it took. A run that continues from a
    checkpoint has its weights already: its source is not read again, unless it has another name than before. Raises
    TagmillError for a source that cannot be read or does not fit."""
    if config.init is None:
        return Start()
    if config.resume != "never" and steps_there(store := Store(config.output)):
        digest = _recorded(store, config.init)
        return Start(digest or read_trained(config.init).digest)
    trained = read_trained(config.init)
    check_finite(trained.weights, trained.where)
    start = initialise(model, trained, vocabulary, config)
    say(console, "\n".join([*start.lines, *(f"WARNING    {text}" for text in start.warnings)]))
    return start


def initialise(model: nn.Module, trained: Trained, vocabulary: Vocabulary, config: TrainConfig) -> Start:
    """Gives a network (on torch's meta device: none of it) the weights of a trained model. Raises ConfigError that names the
    first tensors that do not fit."""
    start, own, source = take_trunk(model, trained, config.model), model.state_dict(), _source_of(trained)
    found = _head_of(
        {name: own[name] for name in sorted(_head_names(model))}, source, trained, vocabulary, config, start
    )
    _compare_transform(trained, start)
    if not any(value.is_meta for value in own.values()):
        model.load_state_dict(found, strict=False)
    return start


def take_trunk(model: nn.Module, trained: Trained, network: str) -> Start:
    """Gives a network, `network` in timm, all weights of a trained model but those of its last layer (on torch's meta device:
    none). Position embeddings are resized to the network's grid. Raises ConfigError that names the first tensors that do not
    fit."""
    own, source, start = model.state_dict(), _source_of(trained), Start(trained.digest)
    head = _head_names(model)
    trunk = {name: value for name, value in own.items() if name not in head}
    found = _trunk_of(trunk, source, model, trained, network, start)
    start.lines.insert(0, f"init       {trained.where}: {len(found):,} of {len(trunk):,} tensors below the last layer")
    if lacking := [name for name in trunk if name not in found]:
        start.lines.append(f"           begin new: {_some(lacking)}")
    if unused := [name for name in source if name not in own]:
        start.lines.append(f"           not used: {_some(unused)}")
    if not any(value.is_meta for value in own.values()):
        model.load_state_dict(found, strict=False)
    return start


def _source_of(trained: Trained) -> dict[str, torch.Tensor]:
    return {_unwrapped(name): value for name, value in trained.weights.items()}


def _head_names(model: nn.Module) -> set[str]:
    path = classifier_path(model)
    return {name for name in model.state_dict() if path is not None and name.startswith(f"{path}.")}


def _trunk_of(
    trunk: Weights, source: Weights, model: nn.Module, trained: Trained, network: str, start: Start
) -> dict[str, torch.Tensor]:
    found, differ = dict[str, torch.Tensor](), list[str]()
    for name, value in trunk.items():
        given = source.get(name)
        if given is not None and given.shape != value.shape and name.endswith(POSITIONS):
            given = _resampled(given, value, model, start)
        if given is not None and given.shape == value.shape:
            found[name] = given
        elif given is not None:
            differ.append(f"{name} is {tuple(given.shape)} there and {tuple(value.shape)} here")
    remedy = f"give weights of {network}, or --model and --model-args of the source"
    if differ:
        raise ConfigError(f"weights of another network: {_some(differ)}", trained.where, remedy)
    learnt = {name for name, _ in model.named_parameters()} & trunk.keys()
    missing = [name for name in trunk if name in learnt and name not in found]
    share = sum(trunk[name].numel() for name in missing) / max(1, sum(trunk[name].numel() for name in learnt))
    if share > MOST_NEW:
        what = f"weights of another network: {share:.0%} of {network} is not in them, {_some(missing)}"
        raise ConfigError(what, trained.where, remedy)
    return found


def _resampled(given: torch.Tensor, value: torch.Tensor, model: nn.Module, start: Start) -> torch.Tensor | None:
    """Returns position embeddings [1, tokens, width] for another number of image patches; as given if they are others."""
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    if grid is None or given.ndim != 3 or value.ndim != 3 or given.shape[2] != value.shape[2]:
        return given
    prefix = value.shape[1] - math.prod(grid)
    side = math.isqrt(max(0, given.shape[1] - prefix))
    if prefix < 0 or side * side + prefix != given.shape[1] or not side:
        return given
    start.lines.append(f"           position embeddings resized from {side} x {side} to {grid[0]} x {grid[1]}")
    resized: torch.Tensor = resample_abs_pos_embed(given, list(grid), [side, side], prefix)
    return resized


def _head_of(
    own: Weights, source: Weights, trained: Trained, vocabulary: Vocabulary, config: TrainConfig, start: Start
) -> dict[str, torch.Tensor]:
    """Returns the tensors of the last layer, whose rows are the labels, with the rows that are carried over."""
    total, labels, found = len(vocabulary), trained.labels or (), dict[str, torch.Tensor]()
    rows = carried_rows(vocabulary.labels, labels)
    other_loss = trained.loss is not None and trained.loss != config.loss
    pairs = [(number, row) for number, row in enumerate(rows) if row is not None]
    fits = bool(own) and all(_rows_fit(source.get(name), value, len(labels)) for name, value in own.items())
    carried = len(pairs) if fits else 0
    start.lines.append(f"           carried {carried:,} of {total:,} labels; {total - carried:,} begin new")
    if not carried:
        why = "no label of the view is among its own" if fits else "its last layer is of another kind"
        why = why if labels else "it names no labels"
        start.warnings.append(f"no label is carried over from {trained.where}: {why}")
        return found
    here, there = (torch.tensor(numbers) for numbers in zip(*pairs, strict=True))
    for name, value in own.items():
        if name.endswith(".bias") and other_loss:
            start.lines.append(f"           its biases are of loss {trained.loss}, and begin new")
        elif not value.is_meta:
            found[name] = value.clone()
            found[name][here] = source[name][there].reshape(-1, *value.shape[1:]).to(value.dtype)
    return found


def _rows_fit(given: torch.Tensor | None, value: torch.Tensor, labels: int) -> bool:
    """Returns whether a tensor has a row for each old label, as large as the rows of the new one; a convolution of 1 x 1 pixels
    and a linear layer are alike."""
    return (
        given is not None
        and given.ndim > 0
        and len(given) == labels > 0
        and given.numel() * len(value) == value.numel() * labels
    )


def _compare_transform(trained: Trained, start: Start) -> None:
    given, own = trained.transform, (*LoaderConfig.mean, *LoaderConfig.std)
    if given is None or all(abs(one - two) < 0.5 for one, two in zip((*given.mean, *given.std), own, strict=True)):
        return
    mean, std = (" ".join(f"{value / 255:.3f}" for value in each) for each in (given.mean, given.std))
    start.warnings.append(f"the source was trained with mean {mean} and deviation {std}; this run uses ImageNet's")


def _recorded(store: Store, source: str) -> str | None:
    """Returns the digest of the source as plan.json has it from the beginning of the run; None if it names another source."""
    try:
        said: Any = json.loads(store.read("plan.json"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if not isinstance(said, Mapping) or not all(isinstance(said.get(name), Mapping) for name in ("config", "init")):
        return None
    digest = said["init"].get("digest")
    return digest if said["config"].get("init") == source and isinstance(digest, str) else None


def _unwrapped(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
    return f"{', '.join(names[:_NAMES_SHOWN])}{more}"
