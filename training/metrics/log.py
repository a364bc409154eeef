"""The log of a run, and the end of a run that diverges."""

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console

from tagmill.pipeline import Batch
from tagmill.training.checkpoints.divergence import diverged
from tagmill.training.metrics.advice import Advice
from tagmill.training.metrics.constant_guess import constant_guess_loss
from tagmill.training.metrics.flops import device_peak, training_flops
from tagmill.training.metrics.text import accuracy_text, say, step_text
from tagmill.training.metrics.writers import EVALUATIONS, METRICS, Writers
from tagmill.training.run import Run

_WAITED, _MEMORY = range(2)  # what each process reports in a column of its own


class Log:
    """Prints and writes the metrics, and stops a run that diverges."""

    def __init__(self, run: Run, writers: Writers, console: Console) -> None:
        self._run, self._writers, self._console = run, writers, console
        self._first, self._began = run.step, time.perf_counter()
        self._since = self._began
        self._flops, self._peak = (
            training_flops(run.config, run.loader.num_classes),
            device_peak(run.config, run.device),
        )
        self._advice = Advice(run.config, run.steps, run.loader, constant_guess_loss(run.config, run.loader))
        self._operations = self._labels = 0
        self.waited = 0.0
        """Seconds that the loader took since the last line."""
        self.line: dict[str, Any] = {"step": run.step}
        """The last line."""

    def count(self, batch: Batch) -> None:
        """Counts the operations and the labels of a step's images."""
        self._labels += len(batch.labels.ids)
        self._operations += batch.filled * self._flops.get(batch.images.shape[-1], 0)

    @property
    def due(self) -> bool:
        """Whether the run's step has a line: the first of this process, and every one of the configured number."""
        step = self._run.step
        return step == self._first + 1 or step % self._run.config.log_every == 0

    def add(self, *, flush: bool = False) -> None:
        """Writes a line on the steps since the last one, with sums over all processes; with `flush`, makes all lines visible,
        for a checkpoint that continues after them. Raises TagmillError if a loss or a gradient was not finite: the weights
        after that step are not saved."""
        run = self._run
        if run.unlogged:
            self._add()
        if flush:
            self._compare_ranks()
            self._writers.flush()

    def _compare_ranks(self) -> None:
        """Says how long each process waited for its batches since the last checkpoint, where there are several: all of them
        call it, and the first one prints it."""
        if self._run.several:
            say(self._console, f"ranks      {self._run.loader.headroom(ranks=True, reset=True)}")

    def _add(self) -> None:
        run = self._run
        steps, own, operations, labels = self._sums()
        self._check_finite(steps)
        (loss, seen, holes, _), now = steps.sum(0).tolist(), time.perf_counter()
        state, seconds = run.loader.state_dict(), now - self._since
        run.images += int(seen + holes)
        self.line = {"step": run.step, "epoch": state["epoch"], "turn": state["turn"], "images": run.images}
        self.line |= {"loss": loss / max(1, seen), "gradient_norm": steps[-1, 3].item() / run.world.size}
        self.line |= {"lr": run.optimiser.param_groups[0]["lr"], "images_per_second": (seen + holes) / seconds}
        self.line |= {"holes": int(holes), "seconds": seconds, "waited_seconds": self.waited}
        share, slowest = own[_WAITED].max(0)
        self.line |= {"waited_share_slowest": share.item(), "slowest_rank": int(slowest)}
        if operations:
            self.line["flops_per_second"] = operations / seconds
        if operations and self._peak:
            self.line["mfu"] = operations / seconds / self._peak / run.world.size
        if most := own[_MEMORY].max().item():
            self.line["peak_memory_bytes"] = int(most)
        left = (now - self._began) / (run.step - self._first) * (run.steps - run.step)
        width = self._console.width if self._console.is_terminal else None
        self._console.print(step_text(self.line, run.steps, left, width))
        for text in self._advice.on(self.line, int(seen + holes), labels):
            say(self._console, f"WARNING    {text}")
        run.unlogged, self.waited, self._since, self._operations, self._labels = [], 0.0, now, 0, 0
        self._writers.add(METRICS, self.line)

    def evaluated(self, result: Mapping[str, Any], seconds: float, *, again: bool) -> None:
        """Prints and writes an evaluation; `again`: one that was written before. Its seconds count neither for the next line
        nor for the time that is left."""
        run = self._run
        self._since, self._began = self._since + seconds, self._began + seconds
        if result and not again:
            self._writers.add(EVALUATIONS, {"step": run.step, "images": run.images, "seconds": seconds, **result})
        for text in accuracy_text(result) if run.step < run.steps else ():
            self._console.print(text)

    def last_evaluation(self) -> int:
        """Returns the step of the last evaluation that was written, on rank 0; 0 on the others."""
        return self._writers.last_step(EVALUATIONS)

    def _sums(self) -> tuple[torch.Tensor, torch.Tensor, int, int]:
        """Reduces over all processes, in one reduction: the numbers of each step [n, 4], those that each process has in a
        column [2, world], the operations and the labels. Waits for the device."""
        run = self._run
        steps = torch.stack([numbers for _, numbers in run.unlogged])
        own = torch.zeros(2, run.world.size, dtype=torch.float64)
        own[_WAITED, run.world.rank] = min(1.0, self.waited / max(1e-9, time.perf_counter() - self._since))
        if steps.is_cuda:
            own[_MEMORY, run.world.rank] = torch.cuda.max_memory_allocated(steps.device)
        beside = torch.cat([own.flatten(), torch.tensor([self._operations, self._labels], dtype=torch.float64)])
        numbers = torch.cat([steps.flatten(), beside.to(steps.device)])
        if run.several:
            dist.all_reduce(numbers)
        numbers = numbers.cpu()
        reduced, columns = numbers[: steps.numel()], numbers[steps.numel() : -2]
        return reduced.view_as(steps), columns.view_as(own), int(numbers[-2]), int(numbers[-1])

    def _check_finite(self, steps: torch.Tensor) -> None:
        run = self._run
        first = run.step - len(run.unlogged)
        for number, ((before, _), (loss, _, _, norm)) in enumerate(zip(run.unlogged, steps.tolist(), strict=True)):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                what = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {norm}"
                where = (
                    f"step {first + number + 1:,} of {run.steps:,}, from epoch {before['epoch']}, turn {before['turn']}"
                )
                raise diverged(run.config, what, where)
