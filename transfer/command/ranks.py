"""The processes of a command under torchrun: what all do, and what the first alone does."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch.distributed as dist

from tagmill.pipeline import World
from tagmill.shards import ConfigError
from tagmill.training.checkpoints.together import on_first
from tagmill.training.config.train import TrainConfig
from tagmill.training.parallel.processes import begin_processes

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """The processes of a command."""

    rank: int = 0
    size: int = 1
    group: Any = None  # a gloo group of them; None: one process

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def on_first(self, action: Callable[[], T]) -> T:
        """Runs an action on the first process; returns its result on all, or raises its TagmillError on all."""
        return on_first(self.group, action)


def joined_ranks(device: Literal["auto", "cpu", "cuda"], stack: ExitStack) -> Ranks:
    """Joins the processes that torchrun has started, until `stack` ends; one process otherwise. Raises TagmillError where some
    are missing."""
    if World.from_environment().size == 1:
        return Ranks()
    world, _ = begin_processes(TrainConfig(device=device), stack)
    return Ranks(world.rank, world.size, dist.new_group(backend="gloo"))


def one_process(what: str) -> None:
    """Raises ConfigError under torchrun with several processes, for what one process does: they would do it several times, and
    write the same files."""
    size = World.from_environment().size
    if size > 1:
        remedy = (
            "start it without torchrun; outcomes that are in the output are kept, so that fine-tune may have several"
        )
        raise ConfigError(f"{size:,} processes for {what}", "transfer", remedy)
