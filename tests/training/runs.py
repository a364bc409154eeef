"""What the tests of training share: a small configuration, command lines and metrics."""

import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

import torch

from tagmill.training.checkpoints.weights import find_checkpoint, read_checkpoint_weights
from tagmill.training.config.train import TrainConfig
from tests.warm.python import warm_python

# A model without batch statistics, small steps that cross epochs (90 turns) and blocks (5 x 2 x 4 turns), uneven ranks.
VIT = TrainConfig(
    model="test_vit",
    model_args={"img_size": 32},
    size=32,
    batch_size=24,
    lr=0.05,
    steps=90,
    streams=5,
    chunk=4,
    log_every=1,
    checkpoint_every=3,
    device="cpu",
    backend="cpu",
    threads=1,
)


def command(config: TrainConfig, processes: int = 1, launcher: tuple[str, ...] = ()) -> list[str]:
    """Returns the command line of a configuration, under torchrun if there are several processes."""
    changed = {name: getattr(config, name) for name in TrainConfig.__dataclass_fields__}
    words = []
    for name, value in changed.items():
        if value != TrainConfig.__dataclass_fields__[name].default and value != {}:
            pairs = [str(part) for pair in value.items() for part in pair] if isinstance(value, dict) else [str(value)]
            words += [f"--{name.replace('_', '-')}", *pairs]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), *launcher]
    return [sys.executable, *(torchrun if processes > 1 else []), "-m", "tagmill.train", *words]


def torchrun_environment() -> dict[str, str]:
    """Returns an environment in which the processes of torchrun meet at the loopback, and start fast."""
    return {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "PYTHON_EXEC": warm_python()}


def lines(folder: Path | str) -> list[dict[str, Any]]:
    """Returns the metrics; a running process may be writing the last line."""
    journal = Path(folder, "metrics.jsonl")
    text = journal.read_text() if journal.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def weights_in(folder: Path | str, step: int | Literal["newest", "best"] = "newest") -> dict[str, torch.Tensor]:
    """Returns the weights of a checkpoint of a run."""
    return read_checkpoint_weights(*find_checkpoint(str(folder), step))
