"""Recipes and command lines of a run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tagmill.shards.settings.options import CommandLine
from tagmill.shards.settings.recipe import read_recipe
from tagmill.training.config.train import LENGTHS, TrainConfig

COMMON = (
    "recipe",
    "corpus",
    "view",
    "output",
    "resume",
    "dry_run",
    "model",
    "batch_size",
    "epochs",
    "steps",
    "images",
    "lr",
)
TRAIN_COMMAND = CommandLine("tagmill train", "Train a model on a corpus.", (TrainConfig,), COMMON)


def load_recipe(path: str | Path) -> TrainConfig:
    """Reads a configuration from a TOML file. Raises ConfigError for an unknown key or a value of another type."""
    return TrainConfig(**read_recipe(path, TrainConfig, without=("recipe",)), recipe=str(path))


def from_command_line(words: Sequence[str]) -> TrainConfig:
    """Reads flags, and the recipe that they name. A length that is given as a flag replaces the recipe's lengths, so that
    `--steps 200` is 200 steps whatever the recipe says. Raises ConfigError; ends the process for `--help`."""
    (config,) = TRAIN_COMMAND.parse(words)
    assert isinstance(config, TrainConfig)
    given = {name for name in LENGTHS if any(word.split("=")[0] in _spellings(name) for word in words)}
    return replace(config, **dict.fromkeys(LENGTHS - given)) if given else config  # type: ignore[arg-type]


def _spellings(name: str) -> tuple[str, str]:
    return f"--{name}", f"--{name.replace('_', '-')}"
