"""Runs `tagmill train` once in each way that a GPU has: bf16, compiled, and on all GPUs with DDP and FSDP2 by NCCL.

python -m tagmill.bench.gpu.trainer CORPUS --way fsdp --device cuda:0 ; prints a line of JSON.
The command is the user's, with torchrun where there are several processes. The rate is that of the last line of the metrics,
over all processes. On a CPU there are two processes, by gloo, in float32.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tagmill.bench import corpora
from tagmill.bench.gpu.training import CLASSES
from tagmill.bench.peers.stopwatch import SIZE

WAYS = {
    "bf16": (),
    "bf16, compiled": ("--compile",),
    "DDP": ("--parallel", "ddp"),
    "FSDP2": ("--parallel", "fsdp", "--activation-checkpointing"),
}
SEVERAL = ("DDP", "FSDP2")  # on all GPUs
EVERY = 10  # steps of a line of the metrics


def processes_of(way: str, device: str) -> int:
    """Returns the processes of a way: one a GPU, or two on a CPU."""
    import torch

    if way not in SEVERAL:
        return 1
    return 2 if device == "cpu" else torch.cuda.device_count()


def command_of(options: argparse.Namespace, output: str, processes: int) -> list[str]:
    """Returns the command line of the run."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    corpus = corpora.labelled(Path(options.corpus).parent, CLASSES, 1)
    steps = options.lines * options.every
    values = {"corpus": corpus, "output": output, "model": options.model, "size": SIZE, "steps": steps, "lr": 1e-3}
    values |= {"batch-size": options.batch * processes, "streams": max(options.streams, processes)}
    values |= {"log-every": options.every, "checkpoint-every": steps, "threads": options.threads}
    values |= {"precision": "fp32" if options.device == "cpu" else "bf16", "backend": options.backend}
    values |= {"device": "cpu" if options.device == "cpu" else "cuda"}
    words = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    return [sys.executable, *(torchrun if processes > 1 else ()), "-m", "tagmill.train", *words, *WAYS[options.way]]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Runs the command. Returns the rate of the last line, what the run printed last, and its processes."""
    processes = processes_of(options.way, options.device)
    with tempfile.TemporaryDirectory() as output:
        local = {"GLOO_SOCKET_IFNAME": "lo"} if options.device == "cpu" else {}
        command = command_of(options, output, processes)
        ended = subprocess.run(command, env=os.environ | local, capture_output=True, text=True)
        if ended.returncode:
            sys.exit(f"{options.way} ended with {ended.returncode}: {ended.stderr[-2000:]}")
        lines = [json.loads(line) for line in Path(output, "metrics.jsonl").read_text().splitlines()]
    figures = {name: lines[-1][name] for name in ("images_per_second", "loss", "step")}
    return {
        **figures,
        "seconds": lines[-1]["seconds"],
        "processes": processes,
        "waited_share": lines[-1].get("waited_share_slowest"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--way", choices=WAYS, default="bf16")
    parser.add_argument("--model", default="vit_base_patch16_224")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="auto", help="backend of the decoder: see LoaderConfig.backend")
    parser.add_argument("--batch", type=int, default=128, help="of a process")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="decoding threads of a process")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--lines", type=int, default=4, help="of the metrics; the last one counts")
    parser.add_argument("--every", type=int, default=EVERY, help="steps of a line")
    print(json.dumps(run(parser.parse_args())), flush=True)


if __name__ == "__main__":
    main()
