"""Runs of several processes that start fast: they are forked from a server process that has imported the trainer once.

Each has the environment that torchrun gives, and they meet at a store of this process, as those of torchrun meet at its
agent's: no port is chosen that another program may have taken.
"""

import json
import multiprocessing
import os
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tagmill.shards import TagmillError
from tagmill.train import train
from tagmill.training.config.train import TrainConfig
from tests.training.runs import lines, weights_in

PLACE = {"LOCAL_WORLD_SIZE": "1", "GLOO_SOCKET_IFNAME": "lo", "TORCHELASTIC_USE_AGENT_STORE": "True"}
VARYING = (
    *("seconds", "images_per_second", "waited_seconds"),
    *("flops_per_second", "mfu", "peak_memory_bytes", "waited_share_slowest", "slowest_rank"),
)
"""Fields of a line of the metrics that differ between two equal runs."""


def run(config: TrainConfig, ranks: int = 1, **changes: Any) -> TrainConfig:
    """Runs `config` with `changes` to its end, on `ranks` processes, and returns it. Raises AssertionError with what the
    processes said if one of them fails."""
    config = replace(config, **changes)
    if ranks == 1:
        train(config)
        return config
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tagmill.train", "timm.models"])
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    shared = {**os.environ, **PLACE, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    shared |= {"WORLD_SIZE": str(ranks), "TORCHELASTIC_RESTART_COUNT": "0"}
    said = [Path(f"{config.output}.rank{rank}.txt") for rank in range(ranks)]
    processes = [
        context.Process(target=_rank, args=(config, {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}, said[rank]))
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(200)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0] * ranks, f"{codes}: {[file.read_text() for file in said]}"
    return config


def _rank(config: TrainConfig, environment: dict[str, str], said: Path) -> None:
    with said.open("w") as file:
        sys.stdout = sys.stderr = file
        os.environ.clear()
        os.environ.update(environment)
        os.fsync = lambda descriptor: None
        torch.set_num_threads(1)
        try:
            train(config)
        except TagmillError as error:
            sys.exit(str(error))
        except BaseException:
            traceback.print_exc(file=file)
            raise


def same_lines(config: TrainConfig) -> list[dict[str, Any]]:
    """Returns the metrics of a run without those that vary between equal runs."""
    return [{name: value for name, value in line.items() if name not in VARYING} for line in lines(config.output)]


def losses(config: TrainConfig) -> list[float]:
    """Returns the loss of each line of a run's metrics."""
    return [line["loss"] for line in lines(config.output)]


def weights(config: TrainConfig) -> dict[str, torch.Tensor]:
    """Returns the weights of a run's newest checkpoint."""
    return weights_in(config.output)


def farthest(one: TrainConfig, other: TrainConfig) -> float:
    """Returns the largest difference between a weight of two runs."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def evaluation(config: TrainConfig) -> dict[str, Any]:
    """Returns evaluation.json of a run, without the last line of the metrics."""
    found = json.loads(Path(config.output, "evaluation.json").read_text())
    return {name: value for name, value in found.items() if name != "trained"}
