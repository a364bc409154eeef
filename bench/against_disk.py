"""Compares the whole ingest of photographs into a bucket with the same onto the disk, in turn: seconds, and CPU seconds
of the ingest's own processes, with the server's told apart.

bench/bucket.py --against-disk calls it. The service runs on this machine, so its CPU seconds lengthen the run where all
cores are busy. `seconds without the server` is an estimate of a service elsewhere: the seconds less the server's CPU
seconds divided by the number of cores. nginx serves the pictures of both, and is in neither.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tagmill.bench import ingest, measure, nginx, photographs, processes, remote
from tagmill.bench.workers import PEERS, run_worker

DISK, BUCKET = "disk", "bucket"
SECONDS, OURS, SERVER, APART = "seconds", "CPU seconds", "server's CPU seconds", "seconds without the server"
WANTED = 1.15
SERVERS = ("radosgw", "ceph-osd", "ceph-mon")


def compare(options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Runs the pairs, prints medians and ratios, and writes them."""
    web = photographs.prepare(measure.pictures(options.images), options.count)
    runs: dict[str, list[dict[str, float]]] = {DISK: [], BUCKET: []}
    for number in range(options.pairs):
        for place in [DISK, BUCKET] if number % 2 == 0 else [BUCKET, DISK]:
            with remote.service([]) as store:  # a new one each time: what is deleted stays in its memory for hours
                runs[place].append(one(place, web, store, options))
            print(f"pair {number + 1}, {place}: {runs[place][-1]}", file=sys.stderr)
    conclude(runs, options.out)
    return runs


def one(place: str, web: Path, store: Any, options: argparse.Namespace) -> dict[str, float]:
    """Runs one ingest; what it makes goes with the folder or the service."""
    with tempfile.TemporaryDirectory(prefix="ingest-", dir=web.parent) as folder, nginx.serving(web) as url:
        listed = Path(folder, "list.parquet")
        photographs.write_list(listed, url, options.count)
        output = f"s3://{remote.BUCKET}/corpus" if place == BUCKET else str(Path(folder, "corpus"))
        command = [sys.executable, "-P", str(PEERS / "tagmill_ingest.py"), str(listed), "--output", output]
        os.sync()  # the output of the previous run must not be written back during this one
        before, begun = processes.cpu_by_name(os.getpid(), SERVERS), time.perf_counter()
        extra = {**ingest.environment(), **store.environment}
        found = run_worker([*command, "--processes", str(options.processes)], extra, ingest.LOOK)
        seconds, after = time.perf_counter() - begun, processes.cpu_by_name(os.getpid(), SERVERS)
    if found["samples"] != options.count:
        sys.exit(f"{place}: {found['samples']} samples of {options.count} pictures")
    server = sum(after.values()) - sum(before.values())
    cores = os.cpu_count() or 1
    return {SECONDS: seconds, OURS: found["cpu_seconds"], SERVER: server, APART: seconds - server / cores}


def quotients(runs: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """Returns medians over pairs of the bucket's figure divided by the disk's."""
    pairs = list(zip(runs[BUCKET], runs[DISK], strict=True))
    return {
        what: statistics.median(there[what] / here[what] for there, here in pairs) for what in (SECONDS, OURS, APART)
    }


def conclude(runs: dict[str, list[dict[str, float]]], out: Path | None) -> None:
    cases: dict[str, dict[str, object]] = {}
    for place, found in runs.items():
        for what in (SECONDS, OURS, SERVER, APART):
            values = [run[what] for run in found]
            cases[f"{place}: {what}"] = {"unit": "s", "median": statistics.median(values), "runs": values}
            print(f"{place:8} {what:28} {statistics.median(values):8.1f}")
    ratios = quotients(runs)
    for what, ratio in ratios.items():
        print(f"{BUCKET}/{DISK}, {what}: {ratio:.3f}, at most {WANTED} wanted{'' if ratio <= WANTED else ': TOO MUCH'}")
    if out is not None:
        measure.write("bucket-against-disk", cases, {f"{BUCKET}/{DISK}, {what}": q for what, q in ratios.items()}, out)
