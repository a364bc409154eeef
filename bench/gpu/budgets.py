"""The cases of one GPU of a node: decoders by window and hardware share, loaders with few cores, processes that share it."""

import json
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tagmill.bench.gpu.cases import Case, Size
from tagmill.bench.gpu.sweep import LOADS
from tagmill.bench.workers import PEERS, environment, run_worker

CORES = (14, 8, 4)  # a GPU of a node of 8 with 112 cores, and of smaller ones
BATCHES = (256, 1024)
PROCESSES = 8
SUMS = ("images_per_second", "peak_memory_bytes")  # of processes; other figures are means


def command(worker: str, place: Path, *flags: str) -> tuple[str, ...]:
    """Returns the command line of a worker."""
    return (sys.executable, "-P", str(PEERS / worker), str(place), *flags)


def common(size: Size, device: str, threads: int, batch: int) -> list[str]:
    """Returns the flags of every worker."""
    values = {"batch": batch, "warm": size.warm, "batches": size.batches, "threads": threads, "device": device}
    return [f"--{name}={value}" for name, value in values.items()]


def windows(corpus: str, data: Path, device: str, threads: int, size: Size) -> list[Case]:
    """Returns DALI's decoder alone: regions, whole images and cut windows, by the share of the hardware decoder."""
    found = []
    for window in ("region", "full", "cut"):
        for load in LOADS if device != "cpu" else LOADS[:1]:
            choices = json.dumps({"window": window, "hw_decoder_load": load})
            told = command("dali_slice.py", data / "corpus", *common(size, device, threads, size.batch))
            name = f"decoder alone, window={window}" + (f", hw_decoder_load={load}" if device != "cpu" else "")
            found.append(Case("windows", corpus, name, (*told, f"--choices={choices}")))
    return found


def with_cores(corpus: str, data: Path, device: str, threads: int, size: Size, decoding: str) -> list[Case]:
    """Returns the loader with each backend, and DALI's reader, with as many cores as a rank has: processes are kept on
    them, also those of a DataLoader."""
    found = []
    for cores in dict.fromkeys(min(cores, threads) for cores in CORES):
        for batch in BATCHES if size.batch == BATCHES[0] else (size.batch,):
            flags = [*common(size, device, cores, batch), f"--cores={cores}"]
            ours = [f"--streams={size.streams}", f"--decoding={decoding}"]
            told = [
                (
                    f"tagmill, {name}",
                    command("tagmill_loader.py", data / "corpus", *flags, *ours, f"--backend={backend}"),
                )
                for name, backend in (("DALI", "dali"), ("CPU", "cpu"), ("both", "both"), ("own choice", "auto"))
            ]
            told.append(("DALI's reader", command("dali_reader.py", data / "corpus", *flags)))
            found += [Case("cores", corpus, f"{name}, {cores} cores, batch {batch}", each) for name, each in told]
    return found


def shared(corpus: str, data: Path, device: str, threads: int, size: Size, decoding: str) -> list[Case]:
    """Returns the loader in several processes at the same time that share a GPU and the cores."""
    processes = PROCESSES if size.batch == BATCHES[0] else 2
    flags = [*common(size, device, max(1, threads // processes), size.batch), f"--streams={size.streams}"]
    found = []
    for name, backend in (("DALI", "dali"), ("CPU", "cpu"), ("both", "both")):
        told = command("tagmill_loader.py", data / "corpus", *flags, f"--decoding={decoding}", f"--backend={backend}")
        found.append(Case("shared", corpus, f"{processes} processes, {name}", told, processes))
    return found


def run_together(case: Case, extra: Mapping[str, str]) -> dict[str, Any]:
    """Runs the processes of a case at the same time. Returns their figures together: sums of images/s and of memory,
    means of all others. Raises UnavailableError if one of them fails."""
    if case.processes == 1:
        return run_worker(list(case.command), {**environment(), **extra})
    with ThreadPoolExecutor(case.processes) as pool:
        runs = list(
            pool.map(
                lambda rank: run_worker(
                    list(case.command),
                    {**environment(), **extra, "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(case.processes)},
                ),
                range(case.processes),
            )
        )
    numbers = [name for name, value in runs[0].items() if isinstance(value, int | float)]
    together = {name: sum(run[name] for run in runs) / (1 if name in SUMS else len(runs)) for name in numbers}
    return {**runs[0], **together, "processes": case.processes, "cores_of_all": len(os.sched_getaffinity(0))}
