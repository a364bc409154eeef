"""Measures the cost of loading before decoding: reading, checking, shuffling, assembling, for a pretended decoder.

python bench/feed.py [--images DIR] [--rounds N] [--quick] [--rates 0,25000] [--batch N] [--out FILE.json]

Every call of DALI or torch releases the GIL and competes for it with the reading threads, so at a GPU's rate Python is
the limit of a loader. The pretended decoder takes `rate` images/s (0: no time) and no processor time. Figures: the
share of its rate that a loader sustains, processor time, and how long a call waits for the GIL. webdataset reads in its
own processes; DALI's reader is C++ and checks nothing. Every case is a process, in turn.
"""

import os
import statistics
import sys
from pathlib import Path
from typing import Any

from tagmill.bench import corpora, measure
from tagmill.bench.loader import BATCH, SAMPLES, STREAMS
from tagmill.bench.workers import US, Case, Peer, UnavailableError, environment, run_worker

RATES = "0,25000"  # images/s; the second is the rate of DALI's decoder on one H100 (docs/how-to/gpu.md)
FEEDS = (
    Peer(US, "tagmill_feed.py", "corpus"),
    Peer("webdataset", "webdataset_feed.py", "corpus", "webdataset", ("webdataset", "pillow")),
    Peer("DALI reader", "dali_feed.py", "corpus"),
)
RATE, CPU = "images_per_second", "cpu_seconds_per_1000_images"


def measured(case: Case, rate: float, data: Path, flags: list[str]) -> None:
    """Runs a case once more."""
    if case.reason is not None:
        return
    try:
        found = run_worker([*case.peer.command(str(data)), f"--rate={rate}", *flags], environment())
        found["lock_wait_us"] = 1e6 * found.pop("lock_waited_seconds") / max(1, found.pop("lock_trips"))
        case.runs.append(found)
        print(f"  {case.name}: {found[RATE]:,.0f} images/s", file=sys.stderr)
    except UnavailableError as error:
        case.reason = str(error)
        print(f"  {case.name}: {case.reason}", file=sys.stderr)


def as_json(cases: dict[tuple[Peer, float], Case]) -> tuple[dict[str, dict[str, object]], dict[str, float]]:
    """Returns cases and ratios: ours divided by each peer's at the same rate."""
    found: dict[str, dict[str, object]] = {}
    ratios: dict[str, float] = {}
    for (peer, rate), case in cases.items():
        line: dict[str, Any] = {"unit": "images/s", "runs": [run[RATE] for run in case.runs]}
        if case.reason is not None:
            line["reason"] = case.reason
        if case.runs:
            figures = (RATE, CPU, "lock_wait_us", "peak_memory_bytes", "seconds")
            line |= {figure: case.median(figure) for figure in figures} | {"versions": case.runs[0]["versions"]}
        found[case.name] = line
        ours = next(each for (one, at), each in cases.items() if one.name == US and at == rate)
        if peer.name != US and case.runs and ours.runs:
            ratios[f"{case.output}: {US}/{peer.name}"] = ours.median(RATE) / case.median(RATE)
            ratios[f"{case.output}: CPU {peer.name}/{US}"] = case.median(CPU) / ours.median(CPU)
    return found, ratios


def table(cases: dict[tuple[Peer, float], Case]) -> None:
    """Prints the medians."""
    print(f"{'':44}{'images/s':>10}  {'of its rate':>11}  {'CPU us/image':>12}  {'lock us/call':>12}  {'peak MB':>8}")
    for (_, rate), case in cases.items():
        if not case.runs:
            print(f"{case.name:44}  not measured: {case.reason}")
            continue
        share = f"{statistics.median(run[RATE] for run in case.runs) / rate:.2f}" if rate else ""
        print(
            f"{case.name:44}{case.median(RATE):10,.0f}  {share:>11}  {1000 * case.median(CPU):12.1f}  "
            f"{case.median('lock_wait_us'):12.1f}  {case.median('peak_memory_bytes') / 1e6:8,.0f}"
        )


def main() -> None:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--rates", default=RATES, help="of the pretended decoder, images/s")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads or worker processes of peers")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a run is measured")
    options = parser.parse_args()
    quick = {"batch": 32, "warm": 2, "batches": 4, "streams": 2, "threads": options.threads}
    whole = {"batch": options.batch, "warm": 16, "batches": 16, "seconds": options.seconds, "streams": STREAMS}
    given = quick if options.quick else whole | {"threads": options.threads}
    flags = [f"--{name}={value}" for name, value in given.items()]
    pictures = measure.pictures(options.images, 32 if options.quick else None)
    data = corpora.prepare(pictures, 512 if options.quick else SAMPLES) / "corpus"
    rates = [float(rate) for rate in options.rates.split(",")]
    names = {rate: f"{rate:,.0f}/s" if rate else "at once" for rate in rates}
    cases = {(peer, rate): Case(peer, names[rate]) for rate in rates for peer in FEEDS}
    rounds = min(options.rounds, 2) if options.quick else options.rounds
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for (_, rate), case in cases.items():
            measured(case, rate, data, flags)
    table(cases)
    found, ratios = as_json(cases)
    for name, ratio in ratios.items():
        print(f"{name:56} {ratio:6.2f}")
    if options.out is not None:
        measure.write("feed", found, ratios, options.out)


if __name__ == "__main__":
    main()
