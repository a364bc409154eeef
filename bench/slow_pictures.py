"""Measures what a few slow images cost a loader that keeps the order: one image of a hundred takes a hundred times longer.

python bench/slow_pictures.py [--images DIR] [--rounds N] [--quick] [--threads N] [--cost MS] [--batch N]
    [--before CHECKOUT] [--out FILE.json]

A batch waits for its slowest image. The figure is the share of the rate that the same images have without an order: the
time of all images, divided by threads. Decoding is pretended: 16 threads wait for the time of an image and take no
processor time, so that the order of work is measured and not the machine. Slow images are spread over all batches, or
clumped: one batch of ten has all of them.

DataLoader keeps the order, or not (in_order=False), with as many worker processes, each of which makes whole batches.
`--before` names a checkout of an earlier commit, whose loader is measured beside this one. Every case is a process, in
turn.
"""

import argparse
import json
import os
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tagmill.bench import corpora, measure
from tagmill.bench.workers import US, Case, Peer, UnavailableError, environment, run_worker

SAMPLES, STREAMS = 8192, 8
PLACES = {"spread": False, "clumped": True}
PEERS = (
    Peer(US, "slow_loader.py", "corpus"),
    Peer("DataLoader", "slow_dataset.py", "corpus", flags=("in_order",)),
    Peer("DataLoader, not in order", "slow_dataset.py", "corpus"),
)
BEFORE = "tagmill before"


def share(run: dict[str, Any], threads: int) -> float:
    """Returns the share of the rate without order: images/s, times the mean seconds of an image, divided by threads."""
    return float(run["images_per_second"] * run["decoder_seconds"] / run["decoded"] / threads)


def measured(case: Case, data: Path, options: argparse.Namespace) -> None:
    """Runs a case once more; a failed one is not run again."""
    if case.reason is not None:
        return
    choices = {
        "cost": options.cost / 1000,
        "threads": options.threads,
        "clumped": PLACES[case.place],
        "in_order": "in_order" in case.peer.flags,
    }
    around = environment()
    if case.peer.name == BEFORE:
        around["PYTHONPATH"] = str(options.before / "python")
    flags = [
        f"--batch={options.batch}",
        f"--warm={options.warm}",
        f"--batches={options.batches}",
        f"--streams={STREAMS}",
    ]
    command = replace(case.peer, flags=()).command(str(data))
    try:
        run = run_worker([*command, *flags, "--choices", json.dumps(choices)], around)
    except UnavailableError as error:
        case.reason = str(error)
        print(f"  {case.name}: {case.reason}", file=sys.stderr)
        return
    case.runs.append({**run, "share": share(run, options.threads)})
    print(f"  {case.name}: {case.runs[-1]['share']:.2f}", file=sys.stderr)


def as_json(cases: list[Case]) -> tuple[dict[str, dict[str, object]], dict[str, float]]:
    """Returns cases and ratios: our share divided by each peer's at the same place of slow images."""
    found: dict[str, dict[str, object]] = {}
    ratios: dict[str, float] = {}
    for case in cases:
        line: dict[str, object] = {"unit": "of the rate without order", "runs": [run["share"] for run in case.runs]}
        if case.reason is not None:
            line["reason"] = case.reason
        if case.runs:
            line |= {name: case.median(name) for name in ("images_per_second", "peak_memory_bytes")}
            line["median"] = case.median("share")
        found[case.name] = line
        ours = next(each for each in cases if each.peer.name == US and each.place == case.place)
        if case is not ours and case.runs and ours.runs:
            ratios[f"{case.place}: {US}/{case.peer.name}"] = ours.median("share") / case.median("share")
    return found, ratios


def table(cases: list[Case]) -> None:
    """Prints the medians."""
    print(f"{'':40}{'of the rate without order':>26}  {'images/s':>9}  {'peak MB':>8}")
    for case in cases:
        if not case.runs:
            print(f"{case.name:40}not measured: {case.reason}")
            continue
        values = [run["share"] for run in case.runs]
        spread = f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
        memory = case.median("peak_memory_bytes") / 1e6
        print(f"{case.name:40}{spread:>26}  {case.median('images_per_second'):9,.0f}  {memory:8,.0f}")


def main() -> None:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--threads", type=int, default=16, help="decoding threads, or worker processes of peers")
    parser.add_argument("--cost", type=float, default=4.0, help="milliseconds of an image that is not slow")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--before", type=Path, help="a checkout of an earlier commit, to measure beside this one")
    options = parser.parse_args()
    options.warm, options.batches = 16, 48
    if options.quick:
        options.rounds, options.threads, options.cost = 1, 4, 0.5
        options.batch, options.warm, options.batches = 32, 2, 4
    pictures = measure.pictures(options.images, 32 if options.quick else None)
    data = corpora.prepare(pictures, 512 if options.quick else SAMPLES) / "corpus"
    before = [Peer(BEFORE, "slow_loader.py", "corpus")] if options.before else []
    cases = [Case(peer, "", place) for place in PLACES for peer in (PEERS[0], *before, *PEERS[1:])]
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}, on {os.cpu_count()} cores", file=sys.stderr)
        for case in cases:
            measured(case, data, options)
    table(cases)
    found, ratios = as_json(cases)
    for name, ratio in ratios.items():
        print(f"{name:56} {ratio:6.2f}")
    if options.out is not None:
        measure.write("slow-pictures", found, ratios, options.out)


if __name__ == "__main__":
    main()
