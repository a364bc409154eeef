"""Compares tagmill's ingest with img2dataset: the same photographs from one nginx on loopback, end to end to committed
shards.

python bench/ingest.py [--images DIR] [--rounds N] [--count N] [--quick] [--out FILE.json]

Each program runs in its own process, in turn, from its start to its end, with two processes (--processes): short side
256, quality 90, area filter (box in tagmill). tagmill also computes sha256, PDQ, labels and a view. 'pixel work alone'
is tagmill's decode + resize + encode of the same photographs from memory, in as many processes: the physical limit.
Then the cost of each step for an image. Every URL is another file: a photograph with its own comment, so none is a
duplicate. nginx is Debian's (apt-get install nginx-light); a program that cannot run is in the table with its reason.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tagmill.bench import figures, measure, nginx, photographs, pixels
from tagmill.bench import workers as peers
from tagmill.bench.figures import CPU, RATE
from tagmill.bench.workers import PEERS, UnavailableError, last_line, run_worker

US, THEM, LIMIT = "tagmill", "img2dataset", "pixel work alone"
COUNT = 16000  # URLs: enough that a run takes much longer than its start
PEAK = "peak_memory_bytes"
LOOK = 2.0  # seconds between two measurements of the memory, which take some milliseconds of a core


@dataclass
class Case:
    """A program, its runs, or why it has none."""

    name: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None

    def median(self, figure: str) -> float:
        return float(statistics.median(run[figure] for run in self.runs))


def run(case: Case, web: Path, url: str, options: argparse.Namespace) -> dict[str, Any]:
    """Runs a program once, from the start of its process to the end. Raises UnavailableError if samples are missing."""
    if case.name == LIMIT:
        return {RATE: pixel_work(options.images, options.count, options.processes)}
    file, python = PEERS / "tagmill_ingest.py", Path(sys.executable)
    if case.name == THEM:
        file, python = PEERS / "img2dataset_download.py", peer()
    with tempfile.TemporaryDirectory(prefix="ingest-", dir=web.parent) as folder:
        listed = Path(folder, "list.parquet")
        photographs.write_list(listed, url, options.count)
        flags = ["--output", str(Path(folder, "corpus")), "--processes", str(options.processes)]
        os.sync()  # the output of the previous run must not be written back during this one
        begun = time.perf_counter()
        found = run_worker([str(python), "-P", str(file), str(listed), *flags], environment(), LOOK)
        seconds = time.perf_counter() - begun
    if found["samples"] != options.count:
        raise UnavailableError(f"{found['samples']} samples of {options.count} pictures")
    cpu = 1000 * found.pop("cpu_seconds") / options.count
    return {RATE: options.count / seconds, CPU: cpu, "seconds": seconds, **found}


def environment() -> dict[str, str]:
    """The environment of both programs: compiled Python files are kept, as in an installation."""
    kept = {name: value for name, value in peers.environment().items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(measure.ROOT / "build" / "bench" / "compiled")}


def peer() -> Path:
    """Returns img2dataset's Python."""
    try:
        return measure.peer("img2dataset", "img2dataset")
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"not installed: {last_line(error.stderr or str(error))}") from error


def pixel_work(images: Path, count: int, processes: int) -> float:
    """Returns images per second of `prepare` in several processes at once, which share the work, with the images in
    memory."""
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--worker", str(images)]
    share = str(count // processes)
    workers = [
        subprocess.Popen([*command, share], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
        for _ in range(processes)
    ]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    begun = time.perf_counter()
    for worker in workers:  # they end when their share is done
        assert worker.stdin is not None
        worker.stdin.close()
    done = sum(int(worker.stdout.read()) for worker in workers if worker.stdout is not None)
    seconds = time.perf_counter() - begun
    for worker in workers:
        worker.wait()
    return done / seconds


def pixel_worker(folder: Path, share: int) -> None:
    """A process of `pixel_work`: reads the images, waits until all have, and prepares its share of them."""
    from tagmill.ingest.images.prepare import Prepared, prepare

    bodies, policy = [path.read_bytes() for path in measure.pictures(folder)], pixels.stored_at_256()
    assert all(isinstance(prepare(body, policy), Prepared) for body in bodies[:8])
    print("ready", flush=True)
    sys.stdin.read()
    for number in range(share):
        prepare(bodies[number % len(bodies)], policy)
    print(share)


def compare(options: argparse.Namespace) -> list[Case]:
    """Runs every case once a round, in turn."""
    cases = [Case(name) for name in (US, THEM, LIMIT)]
    web = photographs.prepare(measure.pictures(options.images), options.count)
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        for case in cases:
            if case.reason is None:
                measured(case, web, options)
    return cases


def measured(case: Case, web: Path, options: argparse.Namespace) -> None:
    try:
        if case.name == LIMIT:
            case.runs.append(run(case, web, "", options))
        else:
            with nginx.serving(web) as url:
                case.runs.append(run(case, web, url, options))
    except UnavailableError as error:
        case.reason = str(error)
    print(f"  {case.name}: {case.reason or format(case.runs[-1][RATE], '.0f') + ' images/s'}", file=sys.stderr)


def ratios(cases: list[Case]) -> dict[str, float]:
    ours, *others = cases
    return {f"{US}/{case.name}": ours.median(RATE) / case.median(RATE) for case in others if case.runs and ours.runs}


def table(cases: list[Case]) -> None:
    quotients = ratios(cases)
    print(f"\n{'':20}  {'images/s':>10}  {'tagmill/it':>10}  {'CPU s/1,000':>11}  {'peak MB':>8}")
    for case in cases:
        if not case.runs:
            print(f"{case.name:20}  not measured: {case.reason}")
            continue
        quotient = quotients.get(f"{US}/{case.name}")
        line = f"{case.name:20}  {case.median(RATE):10,.0f}  {format(quotient, '.2f') if quotient else '':>10}"
        if CPU in case.runs[0]:
            line += f"  {case.median(CPU):11.2f}  {case.median(PEAK) / 1e6:8,.0f}"
        print(line)


def main() -> None:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--count", type=int, default=COUNT, help="URLs")
    parser.add_argument("--processes", type=int, default=2, help="of each program")
    options = parser.parse_args()
    if options.quick:
        options.count, options.rounds = min(options.count, 400), min(options.rounds, 2)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a worker is ended with us
    cases = compare(options)
    bodies = [path.read_bytes() for path in measure.pictures(options.images, 16 if options.quick else 240)]
    steps = pixels.ingest_steps(bodies, options.rounds)
    table(cases)
    for name, case in steps.items():
        print(f"{name:45} {case['median']:8.0f} {case['unit']}")
    if options.out is not None:
        measure.write("ingest", figures.as_json(cases) | steps, ratios(cases), options.out)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        pixel_worker(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
