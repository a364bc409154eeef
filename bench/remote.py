"""Measures the loader from a real S3 service (Ceph's gateway on loopback) behind a slow and faulty proxy, and from the
disk."""

import argparse
import importlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tagmill.bench import measure
from tagmill.bench.workers import US, Case, UnavailableError, measured, peers, prepare

DISK = "disk"
BUCKET = "bench"
# By the name of a case: seconds of latency and the shares of requests that fail, one in a hundred in all.
FAILING = {"busy": 0.004, "reset": 0.003, "short": 0.003}
PLACES: dict[str, dict[str, float]] = {
    "S3": {},
    "S3, 20 ms": {"latency": 0.02},
    "S3, 100 ms": {"latency": 0.1},
    "S3, 20 ms, 1 % fails": {"latency": 0.02, **FAILING},
}
PEERS_AT = "S3, 20 ms"
REMOTE_PEERS = ("DALI reader", "webdataset", "Streaming", "LitData")
BATCHES = 12  # less than an epoch with the warm-up: other loaders keep what they read, and would not read it again


def fixture(name: str) -> ModuleType:
    """Imports tests/shards/NAME.py of the checkout, which is found from every folder."""
    if not (measure.ROOT / "tests" / "shards" / f"{name}.py").exists():
        sys.exit(f"{measure.ROOT}/tests/shards/{name}.py is missing")
    if str(measure.ROOT) not in sys.path:
        sys.path.insert(0, str(measure.ROOT))
    return importlib.import_module(f"tests.shards.{name}")


@contextmanager
def service(folders: list[Path]) -> Iterator[Any]:
    """Runs the service with the folders in its bucket, each under its name."""
    objectstore = fixture("objectstore")
    if missing := objectstore.missing_programs():
        sys.exit(f"no S3 service here: {', '.join(missing)} not installed (Debian: ceph-mon ceph-osd radosgw)")
    import s3fs

    with tempfile.TemporaryDirectory(prefix="tagmill-s3-") as folder, objectstore.object_store(Path(folder)) as store:
        files = s3fs.S3FileSystem(key=store.key, secret=store.secret, endpoint_url=store.endpoint)
        files.mkdir(BUCKET)
        for each in folders:
            files.put(f"{each}/", f"{BUCKET}/{each.name}/", recursive=True)
        yield store


def cases(options: argparse.Namespace, folder: Path, sizes: list[str]) -> list[Case]:
    """Returns tagmill at every location, and the peers that read S3 by the usual environment at one."""
    known = {peer.name: peer for peer in peers(options.backend)}
    us = known[US]
    found = [Case(us, "uint8", place) for place in (DISK, *PLACES)]
    others = [] if options.quick else [known[name] for name in REMOTE_PEERS if not options.only]
    folders = {us.data: folder / us.data}
    for peer in others:
        case = Case(peer, "uint8", PEERS_AT)
        found.append(case)
        try:
            folders[peer.data] = Path(prepare(peer, folder))
        except UnavailableError as error:
            case.reason = str(error)
    faults = fixture("faults")
    flags = [*sizes, "--warm", "2", "--seconds", "0", "--batches", "4" if options.quick else str(BATCHES)]
    with service(list(folders.values())) as store, faults.faulty(store.endpoint) as proxy:
        extra = {**store.environment, "AWS_ENDPOINT_URL": proxy.endpoint, "S3_ENDPOINT_URL": proxy.endpoint}
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            for case in found:
                proxy.faults = faults.Faults(**PLACES.get(case.place, {}), seed=number)
                one(case, folder, proxy, extra, flags)
    return found


def one(case: Case, folder: Path, proxy: Any, extra: dict[str, str], flags: list[str]) -> None:
    """Runs a case, and adds the proxy's counts."""
    if case.place == DISK:
        measured(case, str(folder / case.peer.data), flags)
        return
    proxy.forget()
    before = len(case.runs)
    with tempfile.TemporaryDirectory() as cache:
        place = [] if case.peer.name == US else ["--folder", f"{cache}/cache"]
        measured(case, f"s3://{BUCKET}/{case.peer.data}", [*flags, *place], extra)
    for run in case.runs[before:]:
        seen = list(proxy.requests)
        run["requests"], run["answered_bytes"] = len(seen), sum(request.size for request in seen)
        run["failed_requests"] = sum(bool(request.fault) for request in seen)
