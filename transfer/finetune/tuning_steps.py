"""The steps of fine-tuning: their images are read ahead, and the loss is looked at in intervals."""

import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from tagmill.shards import ConfigError, TagmillError
from tagmill.shards.progress.protocol import Progress
from tagmill.training.checkpoints.saving import Checkpoints
from tagmill.training.checkpoints.together import from_all
from tagmill.training.one_step import take_step
from tagmill.training.run import StepRun
from tagmill.transfer.finetune.recipe import Recipe
from tagmill.transfer.finetune.set_images import SetBatch, SetImages, count_reasons, train_batch
from tagmill.transfer.finetune.set_order import SetOrder

CHECKED = 20  # steps between two looks at the loss, for which the host waits for the device


def take_steps(
    run: StepRun, order: SetOrder, images: SetImages, recipe: Recipe, checkpoints: Checkpoints, shown: Progress
) -> None:
    """Takes the steps that are left."""
    skipped = Counter[str]()
    run.progress.at("loading", run.step)
    for first_seen, found in _batches(order, images, recipe, run):
        rate = recipe.schedule.rate(run.step)
        take_step(run, found.batch.to(run.device, non_blocking=True), order.state_dict(), rate, own=found.own)
        count_reasons(skipped, found, first_seen)
        order.step, run.images = run.step, run.images + run.config.batch_size
        due = run.step == run.steps or checkpoints.due()
        if due or len(run.unlogged) >= CHECKED:
            run.progress.at("agreement", run.step)
            skipped = _check(run, order, skipped, checkpoints.group)
        if due:
            run.progress.at("saving", run.step)
            checkpoints.save()
        shown.advance(1)
        run.progress.at("loading", run.step)
    checkpoints.wait()


def _batches(order: SetOrder, images: SetImages, recipe: Recipe, run: StepRun) -> Iterator[tuple[list[bool], SetBatch]]:
    """Yields the images of the steps that are left, and whether each is seen for the first time; those of the next step are
    read and decoded in the meantime."""
    steps, world = range(run.step, run.steps), run.world

    def read(step: int) -> tuple[list[bool], SetBatch]:
        turns = order.turns(step)
        found = train_batch(images, turns, recipe, run.config.seed, step, world)
        return (turns.passes[world.rank :: world.size] == 0).tolist(), found

    with ThreadPoolExecutor(1) as ahead:
        coming = None
        for step in steps:
            made = read(step) if coming is None else coming.result()
            coming = ahead.submit(read, step + 1) if step + 1 in steps else None
            yield made


def _check(run: StepRun, order: SetOrder, skipped: Counter[str], group: Any) -> Counter[str]:
    """Adds the images that processes have skipped since the last check to those of the order, and returns an empty counter.
    Raises TagmillError, on all processes, if the loss or the gradient of a step since then was not finite, or if no image of
    the first pass could be used."""
    first = run.step - len(run.unlogged)
    own = torch.stack([each for _, each in run.unlogged]).tolist()
    told = from_all(group, (own, skipped))
    run.unlogged = []
    for _, counted in told:
        order.skipped.update(counted)
    for step, rows in enumerate(zip(*(numbers for numbers, _ in told), strict=True), first + 1):
        loss, norm = sum(row[0] for row in rows), max(row[3] for row in rows)
        if not all(math.isfinite(row[place]) for row in rows for place in (0, 3)):
            what = f"fine-tuning diverged: the loss is {loss:g}, the norm of the gradient {norm:g}"
            raise TagmillError(
                what, f"step {step:,} of {run.steps:,}", "give a lower --fine-tune-lr; there is no outcome"
            )
    seen = min(run.images, order.images)
    if sum(order.skipped.values()) == seen:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(order.skipped.items()))
        raise ConfigError(f"no training image can be used: {reasons}", "fine-tuning", "look at the files of the set")
    return Counter()
