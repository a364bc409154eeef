"""The cases of `bench/feed.py --store s3`: loaders from a Ceph gateway at several latencies, beside obstore alone.

obstore reads the ranges that tagmill asked for in the run just before, in that order, with as many in flight as that
run had: its pictures only, and all its requests. Requests and bytes are counted by the proxy, in the window that is
measured; processor time is separated: the loader's processes, the proxy, and the service.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagmill.bench.corpora import VIEW
from tagmill.bench.late_proxy import COUNTS, Asked, LateProxy, late_proxy
from tagmill.bench.remote import BUCKET, PLACES, service
from tagmill.bench.workers import US, Case, Peer, UnavailableError, environment, prepare, run_worker

DAEMONS = ("radosgw", "ceph-osd", "ceph-mon")
PICTURES, ALL = "pictures", "all requests"  # what obstore alone reads
WAYS = ("threads", "asyncio")
ALONE = "obstore alone"
ALONES = tuple(
    Peer(f"{ALONE}, {what} ({way})", "obstore_ranges.py", "corpus") for what in (PICTURES, ALL) for way in WAYS
)
LABELLED = Peer(f"{US}, labels", "tagmill_feed.py", "corpus", flags=("--choices", json.dumps({"view": VIEW})))
FEEDS = (
    Peer(US, "tagmill_feed.py", "corpus"),
    LABELLED,
    *ALONES,
    *(
        Peer(
            f"webdataset ({opener})",
            "webdataset_feed.py",
            "corpus",
            "webdataset",
            ("webdataset", "pillow"),
            ("--choices", json.dumps({"opener": opener})),
        )
        for opener in ("pipe", "fsspec")
    ),
    Peer("Streaming", "streaming_feed.py", "mds-small", "streaming", ("mosaicml-streaming", "pillow")),
    Peer("LitData", "litdata_feed.py", "litdata", "litdata", ("litdata", "pillow")),
)
QUICK = ("S3, 20 ms, 1 % fails",)
AGAIN = 512  # requests among which a range that is asked for again is a repetition, not the next epoch's
RATE, CPU = "images_per_second", "cpu_seconds_per_1000_images"
Range = tuple[str, int, int, int]  # path in the bucket, start, stop, pictures


@dataclass
class Recorder:
    """Turns the requests of our own run into ranges for obstore; `corpus` is the local copy of what is in the bucket."""

    corpus: Path
    _offsets: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    def ranges(self, requests: list[Asked], what: str) -> list[Range]:
        """Returns what was answered well, without repetitions; it begins with the first read of pictures, because
        what is read at the start of a process is read once."""
        found: list[Range] = []
        last: deque[tuple[str, int, int]] = deque(maxlen=AGAIN)
        for request in requests:
            if request.method != "GET" or request.fault or request.status not in (200, 206):
                continue
            path, whole = request.path.split("?")[0].removeprefix(f"/{BUCKET}/"), (0, request.size)
            start, stop = parsed(request.range) if request.range else whole
            pictures = self._pictures(path, start, stop)
            if (path, start, stop) in last or not (found or pictures) or (what == PICTURES and not pictures):
                continue
            last.append((path, start, stop))
            found.append((path, start, stop, pictures))
        return found

    def _pictures(self, path: str, start: int, stop: int) -> int:
        """Returns how many pictures begin in a range of a tar."""
        if not path.endswith(".tar"):
            return 0
        name = Path(path).stem
        if name not in self._offsets:
            self._offsets[name] = np.load(self.corpus / "shards" / f"{name}.npy")["offset"].astype(np.int64)
        first, last = np.searchsorted(self._offsets[name], (start, stop))
        return int(last - first)


def parsed(text: str) -> tuple[int, int]:
    """Returns [start, stop) of a Range header, for example bytes=0-99."""
    start, _, last = text.removeprefix("bytes=").partition("-")
    return int(start), int(last) + 1


@dataclass
class Bench:
    """What all cases share: the proxy, the environment of its clients, and the ranges of our last run at each place."""

    proxy: LateProxy
    extra: dict[str, str]
    recorder: Recorder
    folder: Path
    flags: list[str]
    recorded: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self, case: Case, rate: float, number: int) -> None:
        """Runs a case once more."""
        if case.reason is not None:
            return
        self.proxy.behave(**PLACES[case.place], seed=number)
        with tempfile.TemporaryDirectory() as cache:
            flags = [f"--rate={rate}", f"--counts={self.proxy.url}{COUNTS}", *self.flags, *self._choices(case)]
            if case.peer.makes:
                flags.append(f"--folder={cache}/cache")
            try:
                command = [*case.peer.command(f"s3://{BUCKET}/{case.peer.data}"), *flags]
                found = run_worker(command, {**environment(), **self.extra})
            except UnavailableError as error:
                case.reason = str(error)
                print(f"  {case.name}: {case.reason}", file=sys.stderr)
                return
        found["most_in_flight"] = self.proxy.counts()["most_in_flight"]
        found["lock_wait_us"] = 1e6 * found.pop("lock_waited_seconds") / max(1, found.pop("lock_trips"))
        case.runs.append(found)
        print(f"  {case.name}: {found[RATE]:,.0f} images/s", file=sys.stderr)
        if case.peer.name == US:
            self._record(case.place, int(found["most_in_flight"]))

    def _record(self, place: str, in_flight: int) -> None:
        requests = self.proxy.requests()
        self.recorded[place] = {"in_flight": in_flight}
        for what in (PICTURES, ALL):
            file = self.folder / f"{place} {what}.json"
            file.write_text(json.dumps(self.recorder.ranges(requests, what)))
            self.recorded[place][what] = str(file)

    def _choices(self, case: Case) -> list[str]:
        """Returns the flags of obstore alone: the ranges of our run before it."""
        if case.peer not in ALONES:
            return []
        what, way = next((what, way) for what in (PICTURES, ALL) for way in WAYS if f"{what} ({way})" in case.peer.name)
        found = self.recorded[case.place]
        return ["--choices", json.dumps({"ranges": found[what], "in_flight": found["in_flight"], "way": way})]


def measured(options: argparse.Namespace, folder: Path, rates: dict[float, str], flags: list[str]) -> list[Case]:
    """Runs every loader at every place, in turn; `folder` is that of `corpora.prepare`, `rates` has names."""
    places = QUICK if options.quick else [list(PLACES)[number] for number in options.places or range(len(PLACES))]
    feeds = tuple(peer for peer in FEEDS if wanted(peer, options))
    rate_of = {name: rate for rate, name in rates.items()}
    cases = [Case(peer, name, place) for name in rate_of for place in places for peer in feeds]
    folders = {"corpus": folder / "corpus"}
    for peer in feeds:
        try:
            folders[peer.data] = Path(prepare(peer, folder))
        except UnavailableError as error:
            for case in cases:
                case.reason = str(error) if case.peer == peer else case.reason
    with ExitStack() as stack:
        store = stack.enter_context(service(list(folders.values())))
        proxy = stack.enter_context(late_proxy(store.endpoint, DAEMONS))
        extra = {**store.environment, "AWS_ENDPOINT_URL": proxy.endpoint, "S3_ENDPOINT_URL": proxy.endpoint}
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(proxy, extra, Recorder(folder / "corpus"), scratch, flags)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            for case in cases:
                bench.run(case, rate_of[case.output], number)
    return cases


def wanted(peer: Peer, options: argparse.Namespace) -> bool:
    """`--only` chooses among the peers, and `--quick` none; tagmill and obstore alone are always measured."""
    chosen = [] if options.quick else [part.lower() for part in options.only or [""]]
    return peer in (FEEDS[0], LABELLED, *ALONES) or any(part in peer.name.lower() for part in chosen)


def ratios(cases: list[Case]) -> dict[str, float]:
    """Returns our rate divided by each peer's at the same place, and each peer's processor time divided by ours; of
    obstore alone the faster way counts."""
    found: dict[str, float] = {}
    for ours in (case for case in cases if case.peer.name == US and case.runs):
        others = [case for case in cases if (case.output, case.place) == (ours.output, ours.place) and case.runs]
        for name, case in compared(others):
            key = f"{ours.output}, {ours.place}"
            found[f"{key}: {US}/{name}"] = ours.median(RATE) / case.median(RATE)
            if ours.median(CPU):  # 0: less than a tick of the clock, in a short run
                found[f"{key}: CPU {name}/{US}"] = case.median(CPU) / ours.median(CPU)
    return found


def compared(cases: list[Case]) -> Iterator[tuple[str, Case]]:
    """Yields the cases that ours is compared with, and their names: of obstore alone the faster way."""
    for what in (PICTURES, ALL):
        if alone := [case for case in cases if case.peer.name.startswith(f"{ALONE}, {what} (")]:
            yield f"{ALONE}, {what}", max(alone, key=lambda case: case.median(RATE))
    yield from ((case.peer.name, case) for case in cases if case.peer.name != US and case.peer not in ALONES)


HEADS = ("images/s", "CPU us", "requests", "KB", "failed", "in flight", "service us", "proxy us", "MB")


def table(cases: list[Case]) -> None:
    """Prints the medians. An image's microseconds and KB; requests for 1,000 images."""
    print("\n" + " " * 62 + "".join(f"{head:>12}" for head in HEADS))
    for case in cases:
        if not case.runs:
            print(f"{case.name:62}  not measured: {case.reason}")
            continue
        images = [run[RATE] * run["seconds"] for run in case.runs]

        def each(figure: str, case: Case = case, images: list[float] = images) -> float:
            return float(statistics.median(run[figure] / count for run, count in zip(case.runs, images, strict=True)))

        cells = [
            f"{case.median(RATE):,.0f}",
            f"{1000 * case.median(CPU):.1f}",
            f"{1000 * each('requests'):.1f}",
            f"{each('answered_bytes') / 1000:.1f}",
            f"{case.median('failed_requests'):.0f}",
            f"{case.median('most_in_flight'):.0f}",
            f"{1e6 * each('service_cpu_seconds'):.1f}",
            f"{1e6 * each('proxy_cpu_seconds'):.1f}",
            f"{case.median('peak_memory_bytes') / 1e6:,.0f}",
        ]
        print(f"{case.name:62}" + "".join(f"{cell:>12}" for cell in cells))
