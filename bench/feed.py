"""Measures the cost of loading before decoding: reading, checking, shuffling, assembling, for a pretended decoder.

python bench/feed.py [--images DIR] [--rounds N] [--quick] [--rates 0,25000] [--batch N] [--store s3] [--out FILE.json]

Every call of DALI or torch releases the GIL and competes for it with the reading threads, so at a GPU's rate Python is
the limit of a loader. The pretended decoder takes `rate` images/s (0: no time) and no processor time. Figures: the
share of its rate that a loader sustains, processor time, and how long a call waits for the GIL. webdataset reads in its
own processes; DALI's reader is C++ and checks nothing. Every case is a process, in turn.

`--store s3` reads from a Ceph gateway on loopback (feed_s3.py) at several latencies and with one request in a hundred
failing, beside obstore alone on the same ranges, and beside loaders that read S3. Gateway, proxy and loader share the
cores: absolute rates are the machine's, and ratios those of one call. Loaders that keep local copies may keep less than
an epoch, so that all read every image from the store: the column KB shows it.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from tagmill.bench import corpora, feed_s3, figures, measure
from tagmill.bench.loader import BATCH, SAMPLES, STREAMS
from tagmill.bench.workers import US, Case, Peer, UnavailableError, environment, run_worker

RATES = "0,25000"  # images/s; the second is the rate of DALI's decoder on one H100 (docs/reference/gpu-measurements.md)
S3_RATES = "0"
S3_SAMPLES, S3_WARM, S3_WORKERS = 32768, 64, 2  # images of an epoch, batches, workers or threads of peers for a core
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


def named(rates: str) -> dict[float, str]:
    """Returns the names of the rates, which are part of a case's."""
    return {float(rate): f"{float(rate):,.0f}/s" if float(rate) else "at once" for rate in rates.split(",")}


def prepared(options: argparse.Namespace, samples: int) -> Path:
    """Returns the folder of `corpora.prepare`."""
    return corpora.prepare(measure.pictures(options.images, 32 if options.quick else None), samples)


def flags_of(options: argparse.Namespace, warm: int) -> list[str]:
    """Returns the flags of every worker."""
    quick = {"batch": 32, "batches": 4, "streams": 2, "warm": 2}
    whole = {"batch": options.batch, "batches": 16, "seconds": options.seconds, "streams": STREAMS, "warm": warm}
    given = {"threads": options.threads or os.cpu_count(), **(quick if options.quick else whole)}
    return [f"--{name}={value}" for name, value in given.items()]


def from_s3(options: argparse.Namespace) -> None:
    """Measures loaders from S3. The warm-up is longer than what they read ahead while they start."""
    samples = 512 if options.quick else options.samples
    options.threads = options.threads or S3_WORKERS * (os.cpu_count() or 1)
    flags = flags_of(options, warm=S3_WARM)
    cases = feed_s3.measured(options, prepared(options, samples), named(options.rates or S3_RATES), flags)
    feed_s3.table(cases)
    ratios = feed_s3.ratios(cases)
    for name, ratio in ratios.items():
        print(f"{name:72} {ratio:6.2f}")
    if options.out is not None:
        measure.write("feed-s3", figures.as_json(cases), ratios, options.out)


def main() -> None:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--rates", help=f"of the pretended decoder, images/s: {RATES}, or {S3_RATES} from S3")
    parser.add_argument("--store", choices=("local", "s3"), default="local", help="where the images are")
    parser.add_argument("--samples", type=int, default=S3_SAMPLES, help="S3: images of an epoch")
    parser.add_argument("--only", action="append", help="S3: only peers whose name contains this; may be repeated")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument(
        "--threads", type=int, help="threads or worker processes of peers: cores, from S3 twice as many"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a run is measured")
    parser.add_argument("--places", type=int, nargs="+", help="S3: only these places, by number: 0 is without latency")
    options = parser.parse_args()
    options.rounds = min(options.rounds, 2) if options.quick else options.rounds
    if options.store == "s3":
        from_s3(options)
        return
    data = prepared(options, 512 if options.quick else SAMPLES) / "corpus"
    names = named(options.rates or RATES)
    flags = flags_of(options, warm=16)
    cases = {(peer, rate): Case(peer, name) for rate, name in names.items() for peer in FEEDS}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
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
