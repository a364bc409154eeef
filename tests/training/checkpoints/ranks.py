"""Several processes that save or load a small run: forked from a server process that has imported torch once."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard

from tagmill.pipeline import World
from tagmill.shards import TagmillError
from tagmill.training.run import Run
from tests.training.checkpoints.small_run import network, small_run
from tests.warm.python import called


def on_ranks(number: int, action: Callable[..., None], *arguments: Any) -> list[str]:
    """Runs `action(rank's world, *arguments)` in processes of one gloo group; returns the error that each ended with, or ''.
    Raises AssertionError if one ends by anything but a TagmillError."""
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            called(Path(folder, f"call{rank}"), _one, Path(folder), World(rank, number), action, arguments)
            for rank in range(number)
        ]
        codes = []
        for process in processes:
            try:
                codes.append(process.wait(120))
            except subprocess.TimeoutExpired:
                process.kill()
                codes.append(process.wait())
        said = [Path(folder, f"said{rank}") for rank in range(number)]
        texts = [file.read_text() if file.exists() else "" for file in said]
    assert codes == [0] * number, f"{codes}: {texts}"
    return texts


def sharded_run(world: World, output: str, kind: str, seed: int = 0, **options: Any) -> Run:
    """Returns a run on this rank: its network is plain, replicated ("ddp") or sharded ("fsdp")."""
    model = network(seed)
    if kind == "fsdp":
        for layer in (model[0], model[3]):
            fully_shard(layer)
        fully_shard(model)
    run = small_run(output, model, world, **options)
    if kind == "ddp" and world.size > 1:
        run.forward = nn.parallel.DistributedDataParallel(model)
    return run


def _one(folder: Path, world: World, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    os.fsync = lambda descriptor: None
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "meeting"), world.size)
    options: dict[str, Any] = {"store": store, "rank": world.rank, "world_size": world.size}
    dist.init_process_group("gloo", timeout=timedelta(seconds=100), **options)
    try:
        action(world, *arguments)
    except TagmillError as error:
        (folder / f"said{world.rank}").write_text(str(error))
    finally:
        dist.destroy_process_group()
    sys.stdout.flush()
