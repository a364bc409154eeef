"""The settings of a run: its fields are the flags of `tagmill train` and the keys of a recipe."""

from dataclasses import dataclass, fields, replace
from typing import Literal

from tagmill.pipeline import LoaderConfig, parse_size
from tagmill.shards import ConfigError
from tagmill.shards.settings.ranges import check_fields
from tagmill.training.config.images import ImageOptions
from tagmill.training.config.loss import LossOptions
from tagmill.training.config.model import ModelOptions
from tagmill.training.config.optimiser import OptimiserOptions
from tagmill.training.config.run import RunOptions

MOST_LR = 1e37  # a float32, as the weights are
LENGTHS = frozenset({"epochs", "steps", "images"})
"""The fields that limit a run; one that is given on the command line takes the place of a recipe's others."""
ALTERNATIVES = (LENGTHS,)
"""Fields that say one thing in different ways: a value of one, in a recipe or as a flag, replaces those of the recipe below."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunOptions, ModelOptions, LossOptions, OptimiserOptions, ImageOptions):
    """A run. Raises ConfigError, with the field and what to give, for a value that is not valid."""

    def __post_init__(self) -> None:
        check_fields(self, "train")
        self._require(
            self.resume in ("auto", "never") or self.resume.isdecimal(), "resume", "give auto, never or a step"
        )
        for name in ("momentum", "beta2", "smoothing"):
            self._require(getattr(self, name) < 1, name, "give a number below 1")
        rising = all(0 < share < 1 for share in self.milestones) and list(self.milestones) == sorted(self.milestones)
        self._require(rising, "milestones", "give shares of the run between 0 and 1, in rising order")
        self._require(self.peak_lr <= MOST_LR, "lr", f"scaled by batch_size / lr_batch_size it is at most {MOST_LR:g}")
        self._require(self.accumulation <= self.batch_size, "accumulation", "give at most batch_size")
        self._require("://" not in self.output, "output", "give a folder of this machine, or a mounted one")
        self._require(
            self.processes is None or self.dry_run, "processes", "it is for --dry-run; torchrun starts processes"
        )
        self.loader_config()  # raises ConfigError

    @property
    def peak_lr(self) -> float:
        """The learning rate after the warm-up: `lr`, scaled linearly with the batch size."""
        return self.lr * self.batch_size / (self.lr_batch_size or self.batch_size)

    def loader_config(self, split: Literal["train", "holdout"] = "train", device: str = "cpu") -> LoaderConfig:
        """Returns how a split is read: train augmented and for the run's epochs, holdout unaugmented and once."""
        names = {entry.name for entry in fields(LoaderConfig)} & {entry.name for entry in fields(self)} - {"output"}
        values = {name: getattr(self, name) for name in names} | {"device": device}
        values |= {"size": parse_size(self.size), "epochs": self.epochs or (None if self.steps or self.images else 1)}
        config = LoaderConfig(**values)
        plain = {name: getattr(LoaderConfig, name) for name in ("jitter", "randaugment", "mixup")}
        plain |= {"split": split, "augment": "eval", "drop_last": False, "epochs": 1}
        plain |= {"size": self.evaluation_size or config.largest_size}
        return config if split == "train" else replace(config, **plain)

    def _require(self, fits: bool, name: str, remedy: str) -> None:
        if not fits:
            raise ConfigError(f"{name} = {getattr(self, name)!r}", "train", remedy)
