"""Runs of several processes that start fast: they are forked from a server process that has imported the trainer once.

Each has the environment that torchrun gives, and they meet at a store of this process, as those of torchrun meet at its
agent's: no port is chosen that another program may have taken.
"""

import json
import multiprocessing.connection
import os
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tagmill.train import train
from tagmill.training.config.train import TrainConfig
from tests.training.runs import lines, weights_in
from tests.warm.python import called

PLACE = {"LOCAL_WORLD_SIZE": "1", "GLOO_SOCKET_IFNAME": "lo", "MASTER_ADDR": "127.0.0.1"}
PLACE |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
WHOLE = bool(os.environ.get("TAGMILL_WHOLE"))
"""Whether all combinations are tried, by TAGMILL_WHOLE=1, and not only enough for each value of each."""
VARYING = (
    *("seconds", "images_per_second", "waited_seconds"),
    *("flops_per_second", "mfu", "peak_memory_bytes", "waited_share_slowest", "slowest_rank"),
)
"""Fields of a line of the metrics that differ between two equal runs."""


def run(config: TrainConfig, ranks: int = 1, **changes: Any) -> TrainConfig:
    """Runs `config` with `changes` to its end, on `ranks` processes, and returns it."""
    config = replace(config, **changes)
    run_each([config], ranks)
    return config


def run_each(configs: Sequence[TrainConfig], ranks: int, once: Callable[[TrainConfig], object] = train) -> None:
    """Calls `once` with each configuration in turn, on `ranks` processes; a single one is this process. Raises
    AssertionError, with what the processes said, if one of them fails; the others are killed then."""
    if ranks == 1:
        for config in configs:
            once(config)
        return
    stores = [dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False) for _ in configs]
    work = [(config, str(store.port)) for config, store in zip(configs, stores, strict=True)]
    place = {**os.environ, **PLACE, "WORLD_SIZE": str(ranks)}
    said = [Path(f"{configs[0].output}.rank{rank}.txt") for rank in range(ranks)]
    processes = {}
    for rank, file in enumerate(said):
        call, given = file.with_suffix(".call"), {**place, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        call.unlink(missing_ok=True)
        process = called(call, _rank, work, once, file, environment=given)
        processes[os.pidfd_open(process.pid)] = process
    working = set(processes)
    while working:
        ended = multiprocessing.connection.wait(list(working), 200)  # type: ignore[call-overload]
        working -= set(ended)
        if not ended or any(processes[number].wait() for number in ended):
            break
    for number in working:
        processes[number].kill()
    codes = [process.wait() for process in processes.values()]
    for number in processes:
        os.close(number)
    assert codes == [0] * ranks, f"{codes}: {[file.read_text() for file in said if file.exists()]}"


def _rank(work: Sequence[tuple[TrainConfig, str]], once: Callable[[TrainConfig], object], said: Path) -> None:
    with said.open("w") as file, redirect_stdout(file), redirect_stderr(file):
        torch.set_num_threads(1)
        try:
            for config, port in work:
                os.environ["MASTER_PORT"] = port
                once(config)
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
