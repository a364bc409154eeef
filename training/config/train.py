"""The settings of a run: its fields are the flags of `tagmill train` and the keys of a recipe."""

import math
from dataclasses import dataclass, fields, replace
from typing import Literal

from tagmill.pipeline import LoaderConfig, parse_size
from tagmill.shards import ConfigError
from tagmill.shards.settings.ranges import check_fields
from tagmill.training.config.checkpoints import CheckpointOptions
from tagmill.training.config.images import ImageOptions
from tagmill.training.config.loader import LoaderOptions
from tagmill.training.config.loss import LossOptions
from tagmill.training.config.metrics import MetricsOptions
from tagmill.training.config.model import ModelOptions
from tagmill.training.config.optimiser import OptimiserOptions
from tagmill.training.config.parallel import ParallelOptions
from tagmill.training.config.run import RunOptions

MOST_LR = 1e37  # a float32, as the weights are
LENGTHS = frozenset({"epochs", "steps", "images"})
"""The fields that limit a run; one that is given on the command line takes the place of a recipe's others."""
WARMUPS = frozenset({"warmup_images", "warmup_steps"})
ALTERNATIVES = (LENGTHS, WARMUPS)
"""Fields that say one thing in different ways: a value of one, in a recipe or as a flag, replaces those of the recipe below."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(
    RunOptions,
    ModelOptions,
    ImageOptions,
    LossOptions,
    OptimiserOptions,
    ParallelOptions,
    LoaderOptions,
    CheckpointOptions,
    MetricsOptions,
):
    """A run. Raises ConfigError, with the field and what to give, for a value that is not valid."""

    def __post_init__(self) -> None:
        check_fields(self, "train")
        self._require(
            self.resume in ("auto", "never") or self.resume.isdecimal(), "resume", "give auto, never or a step"
        )
        for name in ("momentum", "beta2", "smoothing"):
            self._require(getattr(self, name) < 1, name, "give a number below 1")
        self._check_schedule()
        self._require(self.accumulation <= self.batch_size, "accumulation", "give at most batch_size")
        self._require(
            self.processes is None or self.dry_run, "processes", "it is for --dry-run; torchrun starts processes"
        )
        self.loader_config()  # raises ConfigError

    def _check_schedule(self) -> None:
        most = 1.0 if self.milestone_unit == "share" else math.inf
        rising = all(0 < each < most for each in self.milestones) and list(self.milestones) == sorted(self.milestones)
        unit = "shares of the run between 0 and 1" if most == 1 else f"{self.milestone_unit} above 0"
        self._require(rising, "milestones", f"give {unit}, in rising order")
        self._require(self.peak_lr <= MOST_LR, "lr", f"scaled by batch_size / lr_batch_size it is at most {MOST_LR:g}")
        both = self.warmup_images is not None and self.warmup_steps > 0
        self._require(not both, "warmup_images", f"give one of warmup_images and warmup_steps ({self.warmup_steps})")
        falls = self.schedule not in ("cosine", "linear") or self.final_lr <= self.peak_lr
        self._require(falls, "final_lr", f"give at most the peak of the learning rate, {self.peak_lr:g}")
        for name in ("halvings", "milestones"):
            self._require(self.schedule != name or getattr(self, name), name, f"--schedule {name} needs --{name}")

    @property
    def images_of_warmup(self) -> int:
        """The images of the warm-up, however they are given."""
        return self.warmup_steps * self.batch_size if self.warmup_images is None else self.warmup_images

    @property
    def peak_lr(self) -> float:
        """The learning rate after the warm-up: `lr`, scaled linearly with the batch size."""
        return self.lr if self.lr_batch_size is None else self.lr * self.batch_size / self.lr_batch_size

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
