"""Continues a run from a checkpoint, of any number of processes."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from rich.console import Console
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.state_dict_loader import load

from tagmill.shards import Store, TagmillError, Vocabulary
from tagmill.training.checkpoints.failures import raising_first
from tagmill.training.checkpoints.keeping import remove_leftovers
from tagmill.training.checkpoints.layout import (
    BEFORE,
    VOCABULARY,
    Done,
    folder_of,
    newest,
    read_all,
    read_done,
    read_object,
)
from tagmill.training.checkpoints.reader import CheckpointReader
from tagmill.training.checkpoints.resuming import check_identity, check_labels, identity, loader_state
from tagmill.training.checkpoints.saving import Checkpoints, best_until
from tagmill.training.checkpoints.state import set_optimiser, targets_of
from tagmill.training.checkpoints.together import check_output, on_all, on_first
from tagmill.training.run import StepRun


def resume(run: StepRun, checkpoints: Checkpoints, vocabulary: Vocabulary, console: Console) -> None:
    """Continues from the checkpoint that the configuration names, the same on all processes; without one the run begins at
    step 0. Raises TagmillError, on all, for an output that cannot be written or is not shared, a checkpoint that is
    damaged, and one of another run."""
    group, store = checkpoints.group, checkpoints.store
    check_output(store, group)
    step, checkpoints.best = on_first(group, partial(_choose, run, checkpoints))
    if step is None:
        return
    done = on_all(group, partial(_checked, run, store, step, vocabulary))
    restore(run, store, done, group)
    checkpoints.saved = step
    console.print(f"resumed    from step {run.step:,}")


def restore(run: StepRun, store: Store, done: Done, group: Any) -> None:
    """Reads the state of a checkpoint into a run. Raises TagmillError, on all processes."""
    where = f"{store.url}/{folder_of(done.step)}"
    reader = on_all(group, lambda: CheckpointReader(store, done))
    targets = on_all(group, lambda: targets_of(run, reader.metadata, where))
    planner = DefaultLoadPlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
    options: dict[str, Any] = {"process_group": group, "no_dist": group is None}
    raising_first(lambda: load(dict(targets), storage_reader=reader, planner=planner, **options), where)
    with torch.no_grad():
        set_optimiser(run, targets, done.values)
    on_all(group, lambda: run.loader.load_state_dict(done.loader))
    run.step, run.images, run.steps = done.step, done.images, done.steps


def _choose(run: StepRun, checkpoints: Checkpoints) -> tuple[int | None, float | None]:
    """Returns the step to continue from and the best score until then, after the leftovers of killed saves are removed."""
    store, config = checkpoints.store, run.config
    remove_leftovers(store)
    records, damaged = read_all(store)
    checkpoints.records = records
    if config.resume == "never":
        checkpoints.given_up = {*records, *damaged}
        return None, None
    step = newest(records) if config.resume == "auto" else int(config.resume)
    if step is None and not damaged and store.exists(BEFORE):
        what = "only a checkpoint of an earlier version, of which this one takes the weights"
        where = f"{store.url}/{BEFORE}"
        raise TagmillError(what, where, f"give --init {where} and another --output, or --resume never to start over")
    for each, error in damaged.items():
        if config.resume == "auto" or each == step:
            raise error
    if step is None:
        return None, None
    if step not in records:
        read_done(store, step)  # raises ConfigError with the steps that there are
    checkpoints.given_up = {*damaged, *(each for each in records if each > step)}
    return step, best_until(records, step)


def _checked(run: StepRun, store: Store, step: int, vocabulary: Vocabulary) -> Done:
    """Returns the record of a checkpoint that this run may continue from."""
    done, where = read_done(store, step), f"{store.url}/{folder_of(step)}"
    wanted = identity(run.config, vocabulary)
    check_identity(done.identity, wanted, run.config.extend, where)
    if done.identity.get("vocabulary") != wanted["vocabulary"]:
        saved = Vocabulary.parse(read_object(store, done, VOCABULARY), f"{where}/{VOCABULARY}")
        check_labels(saved, vocabulary, where)
    state = loader_state(done.loader, run.loader.state_dict(), where)
    return replace(done, loader=state, steps=_end(run, done, state, where))


def _end(run: StepRun, done: Done, state: dict[str, Any], where: str) -> int:
    """Returns the steps of the whole run, whose remaining epochs may have another number of steps in another generation of
    the corpus. Raises TagmillError if the end would move without --extend, or is past."""
    config, epochs = run.config, run.loader.config.epochs
    steps = run.steps
    if epochs is not None and state != done.loader:
        rest = (epochs - int(state["epoch"])) * run.loader.batches_per_epoch
        ends = (config.steps, done.step + rest, config.images and math.ceil(config.images / config.batch_size))
        steps = min(end for end in ends if end)
    if steps != done.steps and not config.extend:
        what = f"the end of the run would move from step {done.steps:,} to {steps:,}"
        raise TagmillError(what, where, "add --extend to move it; the learning rate follows the new end")
    if steps < done.step:
        what = f"the run would end at step {steps:,}, before the checkpoint of step {done.step:,}"
        raise TagmillError(what, where, "give a later end, or --resume STEP of an earlier step")
    return steps
