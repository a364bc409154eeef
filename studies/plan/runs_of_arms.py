"""The runs of a study: every arm with every seed, on equally many images. Nothing is read here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tagmill.shards import ConfigError
from tagmill.studies.plan.arm import Arm
from tagmill.studies.plan.study_plan import PlannedRun
from tagmill.training.config.train import TrainConfig

EMA_PART = 16
"""Half-life of the average of the weights, where the recipe has none: this part of a run's images."""


def images_of(recipe: TrainConfig, samples: int, asked: int | None) -> int:
    """Returns the images that a run sees, in whole steps: those asked for, else the recipe's length on the base view, whose
    epoch has `samples`."""
    limits = (
        recipe.images,
        recipe.steps and recipe.steps * recipe.batch_size,
        recipe.epochs and recipe.epochs * samples,
    )
    wanted = asked or min(filter(None, limits), default=samples)
    return whole_steps(wanted, recipe.batch_size)


def whole_steps(images: float, batch_size: int) -> int:
    """Returns the least number of images of whole steps that is not below `images`, at least one step."""
    return max(1, math.ceil(images / batch_size)) * batch_size


def planned_runs(
    arms: Sequence[Arm], views: Mapping[str, str], seeds: int, images: int, recipe: TrainConfig
) -> tuple[PlannedRun, ...]:
    """Returns the runs in the order in which they are begun: all arms of a seed before the next one, so that a study that is
    stopped has whole pairs. `views`: the view of each arm. Raises ConfigError for arms that see other numbers of images without
    saying so."""
    for arm in arms:
        if arm.share != 1 and not arm.note:
            what = f"arm {arm.name} sees {arm.share:.0%} of the images of other arms, and its note does not say so"
            raise ConfigError(what, "study", "give it a note, or the same number of images")
    return tuple(
        PlannedRun(arm.name, seed, views[arm.name], whole_steps(images * arm.share, recipe.batch_size), dict(arm.train))
        for seed in range(seeds)
        for arm in arms
    )


def config_of_run(recipe: TrainConfig, run: PlannedRun, where: Mapping[str, Any]) -> TrainConfig:
    """Returns the settings of a run; `where`: its corpus and output. Steps are whole, because short ones at the ends of epochs
    would give arms with short epochs fewer images, and the average of the weights is kept, because it is what is judged."""
    values: dict[str, Any] = {**run.train}
    if "model_args" in values:
        values["model_args"] = {**recipe.model_args, **values["model_args"]}
    length: dict[str, Any] = {"images": run.images, "epochs": None, "steps": None, "drop_last": True}
    average = recipe.ema or max(1, run.images // EMA_PART)
    return replace(recipe, **where, **length, view=run.view, seed=run.seed, ema=average, recipe=None, **values)
