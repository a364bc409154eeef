"""What may change between a run and its resumption: a rule for each setting."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from tagmill.shards import TagmillError, Vocabulary
from tagmill.training.config.train import TrainConfig

AWAY = "give another --output, or --resume never to start over"


class Rule(StrEnum):
    """What a resumed run may do with a setting."""

    FREE = "free"
    """It may have any value: where things are, how fast and in how many parts a step is computed, what is reported."""
    EXTENDABLE = "extendable"
    """It may move the end of the run with --extend."""
    FIXED = "fixed"
    """It decides what is learnt, and must be as it was."""


def _rules(rule: Rule, *names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, rule)


# One line a room of settings. A setting without a rule is fixed; a test demands that each has one.
RULES: tuple[dict[str, Rule], ...] = (
    # The corpus and the loader have rules of their own: see `loader_state`.
    _rules(Rule.FREE, "recipe", "corpus", "output", "dry_run", "processes"),
    _rules(Rule.FIXED, "view", "seed"),
    _rules(Rule.EXTENDABLE, "epochs", "steps", "images"),
    _rules(Rule.FREE, "resume", "extend", "checkpoint_every", "checkpoint_epochs", "keep"),
    _rules(Rule.FREE, "log_every", "evaluate_every", "tensorboard", "wandb"),
    _rules(Rule.FIXED, "model", "model_args", "init"),
    _rules(Rule.FREE, "precision", "channels_last"),
    _rules(Rule.FREE, "device", "parallel", "compile", "activation_checkpointing", "tf32", "collective_timeout"),
    _rules(Rule.FIXED, "sync_batch_norm", "ema"),
    _rules(Rule.FIXED, "loss", "smoothing", "head_bias", "label_weights", "shuffle_labels"),
    _rules(
        Rule.FIXED, "optimiser", "momentum", "beta2", "lr", "lr_batch_size", "warmup_steps", "warmup_lr", "schedule"
    ),
    _rules(Rule.FIXED, "warmup_images", "final_lr", "halvings", "milestone_unit"),
    _rules(Rule.FIXED, "milestones", "gamma", "weight_decay", "decay_all", "clip"),
    _rules(
        Rule.FIXED, "size", "jitter", "randaugment", "mixup", "batch_size", "drop_last", "window", "chunk", "streams"
    ),
    _rules(Rule.FIXED, "evaluation_size"),
    _rules(Rule.FREE, "accumulation", "backend", "threads", "memory_limit", "failure_budget"),
)


def rule_of(name: str) -> Rule:
    """Returns the rule of a setting."""
    return next((rules[name] for rules in RULES if name in rules), Rule.FIXED)


def identity(config: TrainConfig, vocabulary: Vocabulary) -> dict[str, Any]:
    """Returns the settings on which a run depends, besides the loader's state, as JSON gives them back."""
    own = {name: value for name, value in asdict(config).items() if rule_of(name) is not Rule.FREE}
    return {"vocabulary": vocabulary.classes_sha256, **json.loads(json.dumps(own))}


def check_identity(found: Mapping[str, Any], wanted: Mapping[str, Any], extend: bool, where: object) -> None:
    """Raises TagmillError that names each setting of a checkpoint that differs from this run's and may not, with both
    values. `vocabulary` is not compared: see `check_labels`."""
    differ = sorted(
        name for name in {**wanted, **found} if found.get(name) != wanted.get(name) and name != "vocabulary"
    )
    differ = [name for name in differ if rule_of(name) is not Rule.FREE]
    moved = [name for name in differ if rule_of(name) is Rule.EXTENDABLE]
    if fixed := [name for name in differ if name not in moved]:
        raise TagmillError(
            f"checkpoint of another run: {_both(fixed, found, wanted)}", where, f"give the same values, or {AWAY}"
        )
    if moved and not extend:
        raise TagmillError(
            f"the end of the run would move: {_both(moved, found, wanted)}",
            where,
            "add --extend to move it (the learning rate follows the new end), or give the same values",
        )


def check_labels(found: Vocabulary, wanted: Vocabulary, where: object) -> None:
    """Raises TagmillError unless both have the same labels, by synsets, in the same order."""
    old, new = ([label.synsets for label in each.labels] for each in (found, wanted))
    if old == new:
        return
    if new[: len(old)] == old:
        what = f"the view has {len(new) - len(old):,} labels after the checkpoint's {len(old):,}"
        raise TagmillError(
            what, where, f"a last layer that grows is a new run: give --init {where} and another --output"
        )
    differs = next((number for number, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), None)
    if differs is None:
        what = f"the view has {len(new):,} labels, the checkpoint {len(old):,}"
    else:
        names = found.labels[differs].name, wanted.labels[differs].name
        what = f"vocabulary of another run: label {differs} is {names[0]!r}, this run's is {names[1]!r}"
        if len(old) == len(new) and set(old) == set(new):
            what = f"the same labels in another order: label {differs} is {names[0]!r}, this run's is {names[1]!r}"
    raise TagmillError(what, where, f"open the view as it was when the run began, give --init {where}, or {AWAY}")


def loader_state(found: Mapping[str, Any], own: Mapping[str, Any], where: object) -> dict[str, Any]:
    """Returns the state with which the loader continues; `own` is its state at the beginning.

    At the end of an epoch (turn 0 of the next) the corpus may be of another generation, because the order of an epoch does
    not depend on earlier ones. Within an epoch TagmillError is raised.
    """
    places = ("manifest", "view")
    if all(found.get(name) == own.get(name) for name in places):
        return dict(found)
    if found.get("turn") != 0:
        what = f"the corpus or its view is not the one of epoch {found.get('epoch')}, in which the checkpoint is"
        remedy = "open the corpus as it was, or resume from the end of an epoch (--checkpoint-epochs saves there)"
        differ = [name for name in places if found.get(name) != own.get(name)]
        raise TagmillError(f"{what}: {_both(differ, found, own)}", where, f"{remedy}, or {AWAY}")
    return {**found, **{name: own[name] for name in places}}


def _both(names: list[str], found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} is {found.get(name)!r}, this run's is {wanted.get(name)!r}" for name in names)
