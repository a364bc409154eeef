"""Compares drivers of S3: obstore and s3fs, ranged reads of 4 KB and 1.3 MB with 1, 8 and 32 in flight.

python bench/store.py [--rounds N] [--quick] [--out FILE.json]

Uses a real service on loopback (Ceph's gateway: apt-get install ceph-mon ceph-osd radosgw), directly and behind a proxy
that adds 20 ms. Each measurement has its own process, so that its processor seconds are the driver's.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DRIVERS = ("obstore", "s3fs")
SIZES = {"4 KB": 4096, "1.3 MB": 1_300_000}
IN_FLIGHT = (1, 8, 32)
LATENCIES = {"0 ms": 0.0, "20 ms": 0.02}
OBJECT = 64 << 20  # bytes


def worker(name: str, size: int, threads: int, reads: int) -> None:
    """Reads ranges of the object in this process, after a warm-up; prints the cost."""
    from tagmill.shards.storage.remote.bucket_driver import BucketDriver
    from tagmill.shards.storage.remote.fsspec_driver import FsspecDriver
    from tagmill.shards.storage.remote.places import Place
    from tagmill.shards.storage.store import handle

    driver = BucketDriver(Place("s3", "bench")) if name == "obstore" else FsspecDriver(handle("s3://bench")[0])
    path = "object" if name == "obstore" else "bench/object"
    places = [(number * 7919 * 4096) % (OBJECT - size) for number in range(reads)]

    def read(place: int) -> int:
        return len(driver.read_range(path, place, place + size)[0])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, places[:threads]))
        before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        assert sum(pool.map(read, places)) == reads * size
        seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"reads/s": reads / seconds, "CPU s per 1,000 reads": 1000 * processor / reads}))


def measured(endpoint: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--worker", *arguments]
    environment = {**os.environ, "AWS_ENDPOINT_URL": endpoint}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=600)
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def compare(endpoints: dict[str, str], rounds: int, quick: bool) -> dict[str, list[dict[str, float]]]:
    """Runs every case once a round, the drivers in turn."""
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for latency, endpoint in endpoints.items():
            for label, size in SIZES.items():
                for threads in IN_FLIGHT:
                    reads = (4 if quick else 40 if size > 1 << 20 else 100) * (threads if threads < 32 else 16)
                    for driver in DRIVERS:
                        case = f"{driver}, {label}, {threads} in flight, {latency}"
                        found = measured(endpoint, driver, str(size), str(threads), str(reads))
                        runs.setdefault(case, []).append(found)
                        print(f"{case}: {found['reads/s']:.0f} reads/s", file=sys.stderr)
    return runs


def main() -> None:
    from tagmill.bench import measure
    from tagmill.shards import Store
    from tests.shards.faults import Faults, faulty
    from tests.shards.objectstore import missing_programs, object_store

    options = measure.arguments(__doc__ or "").parse_args()
    if missing := missing_programs():
        print(f"no S3 service here: {', '.join(missing)} not installed (Debian: ceph-mon ceph-osd radosgw)")
        return
    with tempfile.TemporaryDirectory(prefix="tagmill-s3-") as folder, object_store(Path(folder)) as service:
        os.environ.update(service.environment)
        make_bucket("bench")
        Store("s3://bench").put("object", os.urandom(OBJECT))
        with faulty(service.endpoint, Faults(latency=LATENCIES["20 ms"])) as late:
            endpoints = {"0 ms": service.endpoint, "20 ms": late.endpoint}
            runs = compare(endpoints, 1 if options.quick else options.rounds, options.quick)

    def median(case: str, unit: str) -> float:
        return statistics.median(run[unit] for run in runs[case])

    cases: dict[str, dict[str, object]] = {}
    ratios: dict[str, float] = {}
    for name in runs:
        for unit in ("reads/s", "CPU s per 1,000 reads"):
            values = [run[unit] for run in runs[name]]
            cases[f"{name}: {unit}"] = {"unit": unit, "median": median(name, unit), "runs": values}
        driver, case = name.split(", ", 1)
        size = next(size for label, size in SIZES.items() if case.startswith(label))
        rate, cost = median(name, "reads/s"), median(name, "CPU s per 1,000 reads")
        print(f"{name:44} {rate:9.0f} reads/s {rate * size / 1e6:9.1f} MB/s {cost:7.3f} CPU s per 1,000 reads")
        if driver == "obstore":
            ratios[f"obstore/s3fs, {case}: reads/s"] = rate / median(f"s3fs, {case}", "reads/s")
            ratios[f"obstore/s3fs, {case}: CPU"] = cost / median(f"s3fs, {case}", "CPU s per 1,000 reads")
    for label, value in ratios.items():
        print(f"{label:56} {value:6.2f}")
    if options.out is not None:
        measure.write("store", cases, ratios, options.out)


def make_bucket(name: str) -> None:
    import s3fs

    s3fs.S3FileSystem().mkdir(name)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # for the tests' service and proxy
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main()
