"""Recipes and command lines of a run."""

from collections.abc import Sequence
from pathlib import Path

from tagmill.shards.settings.options import CommandLine
from tagmill.shards.settings.recipe import read_recipe
from tagmill.training.config.train import ALTERNATIVES, TrainConfig

COMMON = (
    "recipe",
    "corpus",
    "view",
    "output",
    "resume",
    "dry_run",
    "processes",
    "model",
    "batch_size",
    "epochs",
    "steps",
    "images",
    "lr",
    "seed",
)
EXAMPLES = (
    "    tagmill train --recipe recipes/demo.toml --corpus corpus --output model",
    "On a node of 8 GPUs; docs/training/clusters.md has Slurm and Kubernetes:",
    "    torchrun --standalone --nproc-per-node 8 --max-restarts 3 \\\n"
    "        -m tagmill.train --recipe recipes/bit2019/r50x1.toml --corpus corpus",
    "The same line resumes a stopped run. --dry-run prints the plan.",
)
TRAIN_COMMAND = CommandLine(
    "tagmill train", "Train a model on a corpus.", (TrainConfig,), COMMON, ALTERNATIVES, EXAMPLES
)


def load_recipe(path: str | Path) -> TrainConfig:
    """Reads a configuration from a TOML file. Raises ConfigError for an unknown key or a value of another type."""
    values = read_recipe(path, TrainConfig, without=("recipe",), alternatives=ALTERNATIVES)
    return TrainConfig(**values, recipe=str(path))


def from_command_line(words: Sequence[str]) -> TrainConfig:
    """Reads flags, and the recipe that they name. A length that is given as a flag replaces the recipe's lengths, so that
    `--steps 200` is 200 steps whatever the recipe says, and so does a warm-up. Raises ConfigError; ends the process for
    `--help`."""
    (config,) = TRAIN_COMMAND.parse(words)
    assert isinstance(config, TrainConfig)
    return config
