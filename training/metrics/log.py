"""The log of a run, its checkpoints, and the end of a run that diverges."""

import math
import time
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console

from tagmill.shards import Store, TagmillError
from tagmill.training.checkpoints import checkpoint
from tagmill.training.config.train import TrainConfig
from tagmill.training.metrics.journal import Journal
from tagmill.training.model.statistics import weights_are_finite
from tagmill.training.run import Run


class Log:
    """Prints and writes the metrics, and stops a run that diverges."""

    def __init__(self, run: Run, journal: Journal | None, console: Console) -> None:
        self._run, self._journal, self._console = run, journal, console
        self._first, self._began = run.step, time.perf_counter()
        self._since = self._began
        self.waited = 0.0
        """Seconds that the loader took since the last line."""
        self.line: dict[str, Any] = {"step": run.step}
        """The last line."""

    def add(self) -> None:
        """Writes a line on the steps since the last one, with sums over all processes. Raises TagmillError if a loss or a
        gradient was not finite: the weights after that step are not saved."""
        run = self._run
        if not run.unlogged:
            return
        sums = torch.stack([numbers for _, numbers in run.unlogged])
        if run.several:
            dist.all_reduce(sums)
        first = run.step - len(run.unlogged)
        for number, ((before, _), (loss, _, _, norm)) in enumerate(zip(run.unlogged, sums.tolist(), strict=True)):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                what = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {norm}"
                where = (
                    f"step {first + number + 1:,} of {run.steps:,}, from epoch {before['epoch']}, turn {before['turn']}"
                )
                raise diverged(run.config, what, where)
        (loss, seen, holes, _), state, now = sums.sum(0).tolist(), run.loader.state_dict(), time.perf_counter()
        run.images += int(seen + holes)
        rate = (seen + holes) / (now - self._since)
        self.line = {"step": run.step, "epoch": state["epoch"], "turn": state["turn"], "images": run.images}
        self.line |= {"loss": loss / max(1, seen), "gradient_norm": sums[-1, 3].item() / run.world.size}
        self.line |= {"lr": run.optimiser.param_groups[0]["lr"], "images_per_second": rate, "holes": int(holes)}
        self.line |= {"seconds": now - self._since, "waited_seconds": self.waited}
        left = (now - self._began) / (run.step - self._first) * (run.steps - run.step)
        text = f"step {run.step:,}/{run.steps:,}  epoch {state['epoch']}  loss {self.line['loss']:.3f}  {rate:,.0f} images/s"
        waited = self.waited / (now - self._since)
        self._console.print(f"{text}  waited {waited:.0%}  {int(holes)} holes  {left:,.0f} s left")
        run.unlogged, self.waited, self._since = [], 0.0, now
        if self._journal is not None:
            self._journal.add(self.line)


def save_run(run: Run, store: Store, identity: dict[str, Any]) -> None:
    """Saves a checkpoint, on rank 0. Raises TagmillError instead for weights that are not finite."""
    if not weights_are_finite(run.model):
        raise diverged(run.config, "weights are not finite", f"step {run.step:,} of {run.steps:,}")
    if run.world.rank == 0:
        content: dict[str, Any] = {"model": run.model.state_dict(), "optimiser": run.optimiser.state_dict()}
        content |= {"identity": identity, "step": run.step, "images": run.images, "loader": run.loader.state_dict()}
        checkpoint.save(store, run.config.output, content, run.config.keep)


def diverged(config: TrainConfig, what: str, where: str) -> TagmillError:
    """Returns the error of a run that cannot go on."""
    there = ", ".join(map(str, sorted(checkpoint.kept(config.output)))) or "none"
    remedy = (
        f"start again with --resume never and a lower lr, a longer warm-up or --clip 1 (checkpoints of steps: {there}"
    )
    return TagmillError(what, where, f"{remedy}; --resume STEP repeats from one)")
