"""Evaluations on held-out images in the course of a run and at its end."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn

from tagmill.pipeline import Loader
from tagmill.shards import Corpus, View
from tagmill.training.metrics.evaluation import evaluate
from tagmill.training.metrics.log import Log
from tagmill.training.run import Run
from tagmill.training.stopping.stop import StopRequest


def has_held_out(loader: Loader) -> bool:
    """Returns whether the loader's view has held-out images with labels."""
    shards = cast(View, loader.view).shards
    return any(line.split == "holdout" and any(line.counts) for line in shards)


class HeldOut:
    """The held-out images of a run, and when they are evaluated.

    One loader reads them every time; it begins again at the first image, and keeps its threads and decoder. Without
    held-out images all evaluations are empty.
    """

    def __init__(self, run: Run, corpus: Corpus, log: Log, stack: ExitStack, scored: Callable[[float], object]) -> None:
        """Opens the loader, which `stack` closes; nothing is read before the first evaluation. `scored` is given the top-1
        accuracy of each evaluation: of the average, if there is one."""
        self._run, self._log, self._scored = run, log, scored
        self._loader: Loader | None = None
        if has_held_out(run.loader):
            reading = run.config.loader_config("holdout", run.device)
            self._loader = stack.enter_context(Loader(corpus, reading, run.world))
        every = run.config.evaluate_every
        self._steps = math.ceil(every / run.config.batch_size) if every else 0
        self._last = agreed(run, log.last_evaluation())

    @property
    def due(self) -> bool:
        """Whether the run's step is one after which it is evaluated, in its course, and it was not yet."""
        step = self._run.step
        within = self._steps and 0 < step < self._run.steps and self._loader is not None
        return bool(within and step % self._steps == 0 and step != self._last)

    def evaluate(self, stop: StopRequest) -> dict[str, Any] | None:
        """Evaluates the model, and its average where there is one; every process calls it. Returns the accuracies of the
        model, with those of the average as "average"; None if a signal ended it between two batches."""
        run, began = self._run, time.perf_counter()
        if self._loader is None:
            return {}
        batches = count(1)
        run.progress.at("evaluation", run.step)

        def stopped() -> bool:
            run.progress.at("evaluation", run.step, next(batches))
            return stop.agreed()

        found = evaluate(models_of(run), run.config, self._loader, run.device, stopped)
        if found is None:
            return None
        own = found.pop("model")
        result = {**own, **found} if own else {}
        self._log.evaluated(result, time.perf_counter() - began, again=run.step == self._last)
        self._last = run.step
        if result:
            self._scored(result.get("average", result)["top1"])
        return result


def models_of(run: Run) -> dict[str, nn.Module]:
    """Returns the models that are evaluated, by name: the run's, and its moving average."""
    return {"model": run.model} if run.ema is None else {"model": run.model, "average": run.ema.module}


def agreed(run: Run, step: int) -> int:
    """Returns rank 0's value on all processes."""
    if run.several:
        dist.broadcast(found := torch.tensor([step], device=run.device), 0)
        return int(found.item())
    return step
