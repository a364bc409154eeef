"""Reads the weights of a checkpoint on one process, for export and for runs that begin from them."""

from typing import Literal

import torch
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

from tagmill.shards import ConfigError, Store, Vocabulary
from tagmill.training.checkpoints.failures import raising_first
from tagmill.training.checkpoints.layout import (
    FOLDER,
    VOCABULARY,
    Done,
    best,
    folder_of,
    newest,
    read_all,
    read_done,
    read_object,
)
from tagmill.training.checkpoints.reader import CheckpointReader
from tagmill.training.checkpoints.state import EMA, MODEL

AVERAGED = "module."
"""Before the names of the network in its average; besides them it has a count."""


def find_checkpoint(url: str, step: int | Literal["newest", "best"] = "newest") -> tuple[Store, Done]:
    """Returns the store of a run's output, and the record of one of its checkpoints. `url`: the output, or
    `OUTPUT/checkpoints/STEP`, which names the step itself. Raises ConfigError if there is none, and IntegrityError if it is
    damaged."""
    output, _, named = url.rstrip("/").rpartition(f"/{FOLDER}/")
    if output and named.isdecimal():
        store = Store(output)
        return store, read_done(store, int(named))
    store = Store(url.rstrip("/"))
    if isinstance(step, int):
        return store, read_done(store, step)
    records, damaged = read_all(store)
    found = newest(records) if step == "newest" else best(records)
    for error in damaged.values():
        raise error
    if found is None:
        remedy = "give --step of one that there is" if records else "give the --output of a run that has saved one"
        raise ConfigError(f"no checkpoint {'that was judged' if records else 'of a run'}", store.url, remedy)
    return store, records[found]


def read_checkpoint_weights(
    store: Store, done: Done, part: Literal["model", "ema"] = "model"
) -> dict[str, torch.Tensor]:
    """Returns the weights and buffers of the network, whole, in the memory of the host, by their names in it. `ema`: the
    average of the weights. Raises ConfigError if the run kept no average, and IntegrityError for damaged objects."""
    reader, where = CheckpointReader(store, done), f"{store.url}/{folder_of(done.step)}"
    prefix = MODEL if part == "model" else EMA
    targets = {
        name: torch.zeros(entry.size, dtype=entry.properties.dtype)
        for name, entry in reader.metadata.state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata) and name.startswith(prefix)
    }
    if not targets:
        raise ConfigError("the checkpoint has no average of the weights", where, "take the weights themselves")
    planner = DefaultLoadPlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
    raising_first(lambda: load(dict(targets), storage_reader=reader, planner=planner, no_dist=True), where)
    names = {name.removeprefix(prefix): value for name, value in targets.items()}
    if part == "model":
        return names
    return {name.removeprefix(AVERAGED): value for name, value in names.items() if name.startswith(AVERAGED)}


def has_average(store: Store, done: Done) -> bool:
    """Returns whether a checkpoint has an average of the weights. Raises IntegrityError for damaged metadata."""
    return any(name.startswith(EMA) for name in CheckpointReader(store, done).metadata.state_dict_metadata)


def read_vocabulary(store: Store, done: Done) -> Vocabulary:
    """Returns the labels of the network's last layer. Raises IntegrityError if they are damaged."""
    where = f"{store.url}/{folder_of(done.step)}/{VOCABULARY}"
    return Vocabulary.parse(read_object(store, done, VOCABULARY), where)
