"""Counts what an ingest into a bucket asks of it, stage by stage, and an epoch out of it: requests and bytes a part.

python bench/bucket.py [--parts 10 40] [--rows-per-part N] [--engine duckdb spark] [--names] [--quick] [--out FILE.json]
python bench/bucket.py --against-disk [--pairs N] [--count N] [--images DIR] [--quick] [--out FILE.json]

The bucket is that of a real service (Ceph's gateway on loopback, in memory) behind a proxy that counts; the pictures
are from nginx. A part has the usual 6,676 rows, but pictures of 64 x 64 pixels and 2 KB, so that 40 parts fit into the
memory of one machine: bytes of pictures are a tenth of the usual, those of facts and all requests are as usual. All
pictures are unlike each other, so that nearly all rows become samples. Parts are cut in the order of the list, because
parts by hash are a power of two. A stage whose requests or bytes a part grow by more than a tenth from the smallest
number of parts to the largest is named. `commit` and `clear` are distinguished by the objects that they write.

With --against-disk: the whole ingest of 16,000 photographs, onto the disk and into the bucket in turn, see
bench/against_disk.py.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

from tagmill.bench import against_disk, measure, nginx, photographs, remote, thumbnails
from tagmill.bench.workers import PEERS, environment

STAGES = ("begin", "partition", "hosts", "robots", "fetch", "select", "pack", "label", "commit", "clear", "epoch")
VERBS = ("GET", "HEAD", "PUT", "LIST", "DELETE", "POST")
HELD_OUT = 50  # one row in so many, in all parts
GROWTH = 1.1  # of requests or bytes a part, from the fewest parts to the most
LEAST = {"requests": 0.25, "read": 1000.0, "put": 1000.0}  # a part: what grows by less is rounding
WANTED = {"read": 3e6, "requests": 20.0}  # a part, of `select`
_CHANGING = re.compile(r"[0-9a-f]{12,}|[0-9]+")  # in names of objects: numbers and digests


@dataclass
class Stage:
    """What one stage asked of the store."""

    verbs: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)  # verb and object, numbers left out
    read: int = 0  # bytes of answers
    put: int = 0  # bytes that were sent
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        return self.verbs.total()

    def add(self, request: Any, output: str) -> None:
        verb, name = verb_and_name(request.method, request.path, output)
        self.verbs[verb] += 1
        self.names[f"{verb} {name}"] += 1
        self.read += request.size
        self.put += request.given


def verb_and_name(method: str, path: str, output: str) -> tuple[str, str]:
    """Returns the kind of a request and its object below `output` ('/bucket/prefix'), without numbers and digests."""
    place = urlsplit(path)
    asked = parse_qs(place.query, keep_blank_values=True)
    name = place.path.removeprefix(output).lstrip("/")
    if "list-type" in asked:
        return "LIST", _CHANGING.sub(
            "N", asked.get("prefix", [""])[0].removeprefix(output[1:].partition("/")[2]).lstrip("/")
        )
    if "delete" in asked:
        return "POST", "?delete"
    return method, _CHANGING.sub("N", name)


def by_stage(requests: Sequence[Any], marks: list[tuple[str, int, float]], output: str) -> dict[str, Stage]:
    """Divides requests among stages. `marks`: each stage's name, the number of requests before it, and the time.

    'select: near' is a part of `select`. The last stage of an ingest, `label`, ends with the report; `clear` begins after
    corpus.json is put.
    """
    found = {name: Stage() for name in STAGES}
    for (shown, first, begun), (_, last, ended) in pairwise(marks):
        name = shown.partition(":")[0]
        found.setdefault(name, Stage()).seconds += ended - begun
        for request in requests[first:last]:
            verb, what = verb_and_name(request.method, request.path, output)
            if name == "label" and (verb, what) == ("PUT", "report.json"):
                name = "commit"
            found[name].add(request, output)
            if name == "commit" and (verb, what) == ("PUT", "corpus.json"):
                name = "clear"
    return found


@dataclass
class Counted:
    """One ingest and one epoch."""

    engine: str
    parts: int
    rows: int
    samples: int
    stages: dict[str, Stage]

    def a_part(self, stage: str, what: str) -> float:
        return float(getattr(self.stages[stage], what)) / self.parts


def counted(engine: str, parts: int, web: str, store: Any, proxy: Any, rows_per_part: int) -> Counted:
    """Ingests `parts` parts into the bucket, then reads an epoch. Exits where rows or samples are missing."""
    prefix = f"{engine}-{parts}"
    proxy.forget()
    with tempfile.TemporaryDirectory(prefix="bucket-") as folder:
        listed = Path(folder, "list.parquet")
        photographs.write_list(listed, web, parts * rows_per_part)
        command = [sys.executable, "-P", str(PEERS / "tagmill_bucket.py"), str(listed), "--engine", engine]
        command += ["--output", f"s3://{remote.BUCKET}/{prefix}", "--rows-per-part", str(rows_per_part)]
        command += ["--parts-per-group", str(min(16, parts)), "--holdout", str(parts * rows_per_part // HELD_OUT)]
        extra = {**store.environment, "AWS_ENDPOINT_URL": proxy.endpoint, "TMPDIR": folder}
        with _worker(command, {**environment(), **extra}) as (lines, answer):
            marks, last = _marks(lines, answer, proxy)
    told = json.loads(last)
    found = Counted(
        engine, parts, told["rows"], told["samples"], by_stage(proxy.requests, marks, f"/{remote.BUCKET}/{prefix}")
    )
    if found.rows != parts * rows_per_part or found.samples < 0.9 * found.rows or told["delivered"] == 0:
        sys.exit(f"{engine}, {parts} parts: {told} of {parts * rows_per_part} rows")
    return found


@contextmanager
def _worker(command: list[str], env: dict[str, str]) -> Iterator[tuple[IO[str], IO[str]]]:
    """Yields the output and the input of a process; exits with its last line where it fails."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=env
        )
        try:
            assert process.stdin is not None and process.stdout is not None
            yield process.stdout, process.stdin
        finally:
            if process.poll() is None and sys.exc_info()[0] is not None:
                process.terminate()
            status = process.wait()
        if status:
            errors.seek(0)
            sys.exit(f"{' '.join(command[2:])} ended with {status}: {errors.read()[-2000:]}")


def _marks(lines: IO[str], answer: IO[str], proxy: Any) -> tuple[list[tuple[str, int, float]], str]:
    """Answers the worker at each stage; returns the stages with the requests before each, and its last line."""
    marks, last = [("begin", 0, time.perf_counter())], "{}"
    for line in lines:
        word, _, name = line.strip().partition(" ")
        if word == "stage":
            marks.append((name, len(proxy.requests), time.perf_counter()))
            answer.write("\n")
            answer.flush()
        elif line.startswith("{"):
            last = line
    return marks, last


def grown(few: Counted, many: Counted) -> dict[str, float]:
    """Returns the stages that cost more a part with more parts, with the ratio: nothing where all are linear."""
    found = {}
    for stage in STAGES:
        for what in LEAST:
            before, after = few.a_part(stage, what), many.a_part(stage, what)
            if after > GROWTH * before and after - before > LEAST[what]:
                found[f"{stage}: {what}"] = after / before if before else float("inf")
    return found


def table(one: Counted) -> None:
    print(f"\n{one.engine}, {one.parts} parts, {one.rows:,} rows, {one.samples:,} samples; for each part:")
    print(
        f"{'':10} {'requests':>8}  "
        + "".join(f"{verb:>8}" for verb in VERBS)
        + f"{'MB read':>10}{'MB put':>10}{'s in all':>10}"
    )
    for name, stage in one.stages.items():
        counts = "".join(f"{stage.verbs[verb] / one.parts:8.2f}" for verb in VERBS)
        sizes = f"{one.a_part(name, 'read') / 1e6:10.3f}{one.a_part(name, 'put') / 1e6:10.3f}{stage.seconds:10.1f}"
        print(f"{name:10} {one.a_part(name, 'requests'):8.2f}  {counts}{sizes}")


def names(one: Counted) -> None:
    """Prints how often each kind of object was asked for."""
    for name, stage in one.stages.items():
        for what, count in stage.names.most_common():
            print(f"  {name:10} {count / one.parts:8.2f} a part  {what}")


def conclude(found: list[Counted], out: Path | None) -> None:
    """Prints growth and the bounds of `select`, and writes all figures."""
    ratios: dict[str, float] = {}
    for engine in dict.fromkeys(one.engine for one in found):
        runs = sorted((one for one in found if one.engine == engine), key=lambda one: one.parts)
        few, many = runs[0], runs[-1]
        print(f"\n{engine}: {many.parts} parts to {few.parts}, for each part:")
        for stage in STAGES:
            quotients = {
                what: many.a_part(stage, what) / before for what in LEAST if (before := few.a_part(stage, what))
            }
            ratios |= {f"{engine}, {stage}, {what}: {many.parts}/{few.parts}": q for what, q in quotients.items()}
            print(f"{stage:10} " + "  ".join(f"{what} {quotient:.2f}" for what, quotient in quotients.items()))
        for what, ratio in grown(few, many).items():
            print(f"NOT LINEAR: {what} a part {ratio:.2f} times")
        for what, most in WANTED.items():
            value = many.a_part("select", what)
            print(
                f"select, {what} a part: {value:,.0f}, at most {most:,.0f} wanted{'' if value <= most else ': TOO MUCH'}"
            )
    if out is not None:
        measure.write("bucket", {key: value for one in found for key, value in as_json(one).items()}, ratios, out)


def as_json(one: Counted) -> dict[str, dict[str, object]]:
    return {
        f"{one.engine}, {one.parts} parts, {name}": {
            "unit": "requests a part",
            "median": one.a_part(name, "requests"),
            "requests": dict(stage.verbs),
            "read_bytes": stage.read,
            "put_bytes": stage.put,
            "seconds": round(stage.seconds, 2),
            "rows": one.rows,
            "names": dict(stage.names),
        }
        for name, stage in one.stages.items()
    }


def count(options: argparse.Namespace) -> list[Counted]:
    """Runs every engine with every number of parts, and prints each as it comes."""
    folder = thumbnails.prepare(max(options.parts) * options.rows_per_part)
    found = []
    faults = remote.fixture("faults")
    for parts in options.parts:
        for engine in options.engine:  # a service each: in memory nothing is left of the run before
            with (
                nginx.serving(folder) as web,
                remote.service([]) as store,
                faults.faulty(store.endpoint) as proxy,
            ):
                found.append(counted(engine, parts, web, store, proxy, options.rows_per_part))
            table(found[-1])
            if options.names:
                names(found[-1])
    return found


def parsed() -> argparse.Namespace:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--parts", type=int, nargs="+", default=[10, 40])
    parser.add_argument("--rows-per-part", type=int, default=6676)
    parser.add_argument("--engine", nargs="+", choices=("duckdb", "spark"), default=["duckdb", "spark"])
    parser.add_argument("--names", action="store_true", help="print the objects that each stage asked for")
    parser.add_argument("--against-disk", action="store_true", help="compare a whole ingest with one onto the disk")
    parser.add_argument("--pairs", type=int, default=5, help="with --against-disk")
    parser.add_argument("--count", type=int, default=16000, help="with --against-disk: URLs")
    parser.add_argument("--processes", type=int, default=2, help="with --against-disk: of the ingest")
    options = parser.parse_args()
    if options.quick:
        options.parts, options.rows_per_part = [2, 8], min(options.rows_per_part, 60)
        options.engine = options.engine[:1]
        options.pairs, options.count = min(options.pairs, 1), min(options.count, 200)
    return options


def main() -> None:
    options = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the service and the worker are ended with us
    if options.against_disk:
        against_disk.compare(options)
    else:
        conclude(count(options), options.out)


if __name__ == "__main__":
    main()
