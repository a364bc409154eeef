"""Trains a model to predict the labels of a corpus: one page, read from top to bottom, meant to be forked.

One process, on the CPU or on one GPU:
    python -m tagmill.train --recipe recipes/demo.toml --corpus out/demo/corpus --output out/model
One node of 8 GPUs:
    torchrun --standalone --nproc-per-node 8 --max-restarts 3 -m tagmill.train --recipe recipes/swag2022/vit-b16.toml ...
Two nodes, the same line on each, with the address of one of them:
    torchrun --nnodes 2 --nproc-per-node 8 --max-restarts 3 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m tagmill.train ...

The same line resumes a stopped or killed run from its last checkpoint, on any number of processes: a checkpoint counts
turns of the loader's plan, which do not depend on ranks. `--dry-run` prints the plan and ends. What a run is made of is in
`tagmill/training/`.
"""

if __name__ == "__main__":  # before the imports, which take seconds
    from tagmill.training.stopping.at_once import end_at_signals

    end_at_signals()

import json
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, replace
from itertools import chain, repeat
from typing import Any, cast

import torch
from rich.console import Console
from torch import nn

from tagmill.pipeline import Loader
from tagmill.shards import ConfigError, Corpus, Store, TagmillError, Vocabulary
from tagmill.training.checkpoints.restoring import resume
from tagmill.training.checkpoints.saving import Checkpoints
from tagmill.training.config.recipe import TRAIN_COMMAND, from_command_line, load_recipe
from tagmill.training.config.train import TrainConfig
from tagmill.training.metrics.held_out import HeldOut
from tagmill.training.metrics.log import Log
from tagmill.training.metrics.text import learnt_text, say
from tagmill.training.metrics.writers import Writers, check_writers, open_writers
from tagmill.training.model.build import build_model, check_model
from tagmill.training.model.outline import outlined
from tagmill.training.model.statistics import has_batch_statistics
from tagmill.training.one_step import take_step
from tagmill.training.parallel.garbage import collect_garbage, garbage_at_intervals
from tagmill.training.parallel.processes import begin_processes
from tagmill.training.parallel.watchdog import watched
from tagmill.training.parallel.wrap import distributed
from tagmill.training.plan.plan import plan_of
from tagmill.training.run import Run
from tagmill.training.step.control import shuffled
from tagmill.training.step.losses import idf_weights
from tagmill.training.step.optimiser import build_optimiser
from tagmill.training.step.schedule import learning_rate
from tagmill.training.stopping.at_once import ended_at_signals
from tagmill.training.stopping.stop import StopRequest
from tagmill.training.trained.final import check_final, export_run
from tagmill.training.trained.initial import begin_from

__all__ = ["TRAIN_COMMAND", "TrainConfig", "load_recipe", "main", "train"]


# ------------------------------------------------------------------------------------------------------------ Training
def steps_of(run: Run, log: Log, held_out: HeldOut, stop: StopRequest, checkpoints: Checkpoints) -> bool:
    """Takes the steps, and evaluates between them. Returns whether they came to the end; a signal ends them before, with a
    checkpoint."""
    config = run.config
    epochs = repeat(run.loader, (run.loader.config.epochs or run.steps) - run.loader.own_epochs[0])
    batches = chain.from_iterable(epochs)
    while True:
        if held_out.due and held_out.evaluate(stop) is None:
            checkpoints.wait()
            return False
        run.progress.at("loading", run.step)
        before, asked = run.loader.state_dict(), time.perf_counter()
        batch = next(batches, None) if run.step < run.steps else None
        log.waited += time.perf_counter() - asked
        if batch is not None:
            moved = batch.to(run.device, non_blocking=True)
            if config.shuffle_labels:
                moved = replace(moved, labels=shuffled(moved.labels, before, batch.positions))
            take_step(run, moved, before, learning_rate(config, run.step, run.steps, run.steps_per_epoch))
            log.count(moved)
            collect_garbage(run.step)
        run.progress.at("agreement", run.step)
        done = batch is None or run.step == run.steps
        if checkpoints.failed():  # all processes end after the same step, with its error
            stop.signal = signal.SIGTERM
        stopped = not done and stop.agreed()
        due = done or stopped or held_out.due or checkpoints.due()
        if due or log.due:
            run.progress.at("log", run.step)
            log.add(flush=due)
        if due:
            run.progress.at("saving", run.step)
            checkpoints.save()
        if done or stopped:
            checkpoints.wait()
            return not stopped


def train(config: TrainConfig) -> dict[str, Any]:
    """Trains to the end; returns the evaluation and, as "trained", the last line of the metrics; in a dry run, the plan. A run
    that a signal ends returns "stopped", the signal's number. Raises TagmillError for a fault of corpus, configuration or
    machine, and if the loss, the gradient or the weights are not finite."""
    check_model(config)
    check_writers(config)
    check_final(config)
    with ExitStack() as stack:
        world, device = begin_processes(config, stack)
        progress = watched(config.collective_timeout, stack)
        corpus = Corpus.open(config.corpus, config.loader_config().cache_folder())
        console = Console(quiet=world.rank > 0, highlight=False, soft_wrap=True)
        reading = config.loader_config(device=device)
        if config.dry_run:
            reading = replace(reading, memory_limit=1 << 62)  # printed, and not refused: this machine may be another
        loader = stack.enter_context(Loader(corpus, reading, world))
        vocabulary = cast(Vocabulary, loader.vocabulary)

        torch.manual_seed(config.seed)
        with outlined() if config.dry_run else nullcontext():
            model = build_model(config, len(vocabulary))
        check_batches(loader, model)
        plan = plan_of(config, loader, model, len(vocabulary), device)
        say(console, "\n".join([*plan.lines, *(f"WARNING    {text}" for text in plan.warnings)]))
        said = {"plan": plan.lines, "warnings": plan.warnings, "steps": plan.steps, "config": asdict(config)}
        start = begin_from(config, model, vocabulary, console)
        said["init"] = asdict(start)
        if config.dry_run:
            return said
        config = replace(config, init=start.digest)  # its content, and not its place, is what a resumed run must have

        layout = torch.channels_last if config.channels_last else torch.preserve_format
        model = model.to(device).to(memory_format=layout)
        idf = idf_weights(vocabulary, loader.samples_per_epoch).to(device) if config.label_weights == "idf" else None
        forward, ema = distributed(config, model, world.size)
        optimiser = build_optimiser(config, model)
        lengths = (plan.steps, plan.steps_per_epoch)
        run = Run(config, world, device, loader, model, forward, ema, optimiser, *lengths, idf, progress)
        store = Store(config.output)
        checkpoints = stack.enter_context(Checkpoints(run, store, vocabulary))
        resume(run, checkpoints, vocabulary, console)
        writers = open_writers(config, store, run.step, said, stack) if world.rank == 0 else Writers()
        if world.rank == 0:
            store.put("plan.json", json.dumps(said, indent=1).encode())
        log = Log(run, writers, console)
        held_out = HeldOut(run, corpus, log, stack, checkpoints.score)
        stop = stack.enter_context(StopRequest())
        stack.enter_context(garbage_at_intervals())
        came_to_end = steps_of(run, log, held_out, stop, checkpoints)
        found = held_out.evaluate(stop) if came_to_end else None
        if found is None:
            console.print(f"stopped    at step {run.step:,} with a checkpoint; the same command continues")
            return {"trained": log.line, "stopped": stop.signal or signal.SIGTERM}

        result: dict[str, Any] = {"trained": log.line, **found}
        if world.rank == 0:
            store.put("evaluation.json", json.dumps(result, indent=1, allow_nan=False).encode())
        say(console, f"loader     {loader.report()}\n{learnt_text(result)}")
        console.print(export_run(run, vocabulary), markup=False)  # a command to copy, so in one piece
        return result


def check_batches(loader: Loader, model: nn.Module) -> None:
    """Raises ConfigError for a model that normalises over a batch where a process has one image at a time."""
    if has_batch_statistics(model) and loader.local_batch_size < 2:
        what = f"batches of {loader.local_batch_size} image for a model with batch normalisation"
        raise ConfigError(what, "train", "give a larger --batch-size, or fewer processes")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command: values of a recipe, overridden by flags. A run that a signal stopped ends with status 128 + signal."""
    with ended_at_signals():
        result = train(from_command_line(sys.argv[1:] if arguments is None else arguments))
    if result and (number := result.get("stopped")):
        sys.exit(128 + number)


if __name__ == "__main__":
    try:
        main()
    except TagmillError as error:
        sys.exit(f"tagmill train: {error}")
