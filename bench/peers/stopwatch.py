"""Measures one loader in its own process: warms up, then times batches; prints a line of JSON."""

import argparse
import importlib.metadata
import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagmill.bench.processes import cpu_seconds

if TYPE_CHECKING:
    import torch

SIZE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MAKE = "make"
GAUGES = ("most_in_flight",)  # counters of a store that do not grow

Totals = Callable[[], dict[str, float]]
Batches = Callable[[argparse.Namespace], Iterator["torch.Tensor | int"]]


def run(
    batches: Batches,
    packages: tuple[str, ...],
    make: Callable[[Path, Path], None] | None = None,
    totals: Totals = dict,
) -> None:
    """The main function of a worker: `FILE make IMAGES FOLDER` writes its format, `FILE DATA ...` measures.

    `batches` takes the options and yields, without end, batches [b, 3, 224, 224], or the number of images done if there
    is no output to check. `totals` returns counters, whose growth during the measurement is reported.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="where the samples are, in this loader's format")
    parser.add_argument("--output", choices=("uint8", "float32"), default="uint8")
    parser.add_argument("--decoder", choices=("pillow", "torchvision", "torchcodec"), default="torchvision")
    parser.add_argument("--backend", default="auto", help="tagmill's")
    parser.add_argument("--streams", type=int, help="tagmill's")
    parser.add_argument(
        "--shuffle", type=int, help="samples that a reader holds to shuffle them; its default if missing"
    )
    parser.add_argument("--decoding", type=json.loads, default={}, help="tagmill's choices on a GPU, as JSON")
    parser.add_argument("--device", default="cpu", help="where batches are delivered: cpu or cuda:N")
    parser.add_argument("--rate", type=float, default=0.0, help="images/s of a pretended decoder; 0: it takes no time")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--cores", type=int, help="the process and its children may use no more than so many")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--warm", type=int, default=4, help="batches before the clock starts")
    parser.add_argument("--batches", type=int, default=16, help="minimum number of batches that are measured")
    parser.add_argument("--seconds", type=float, default=0.0, help="minimum seconds of a measurement")
    parser.add_argument("--counts", help="URL of counters of the store, whose growth is reported (late_proxy.py)")
    parser.add_argument("--choices", type=json.loads, default={}, help="of this loader, as JSON")
    parser.add_argument("--folder", type=Path, help="make: where to write; else: a folder for caches")
    parser.add_argument("--images", type=Path, help="make: the images")
    options = parser.parse_args()
    if options.data == MAKE:
        if make is not None:
            make(options.images, options.folder)
        return
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    result = measure(batches, options, lambda: {**totals(), **store_totals(options.counts)})
    result["versions"] = {package: version for package in packages if (version := version_of(package))}
    if "PIL" in sys.modules:
        result["versions"]["PIL as imported"] = sys.modules["PIL"].__version__  # pillow-simd's has a .post
    print(json.dumps(result), flush=True)
    os._exit(0)  # without waiting for the work that a loader's threads and processes still have ahead


def measure(batches: Batches, options: argparse.Namespace, totals: Totals) -> dict[str, Any]:
    """Returns images/s, processor seconds per 1,000 images, and seconds to the first batch."""
    begun = time.perf_counter()
    source = batches(options)
    first = next(source)
    first_after, age = time.perf_counter() - begun, process_age()
    check(first, options)
    for _ in range(options.warm - 1):
        next(source)
    settle(options.device)
    before = totals()
    cpu, start = cpu_seconds(os.getpid()), time.perf_counter()
    images, done = 0, 0
    while done < options.batches or time.perf_counter() - start < options.seconds:
        images, done = images + count(next(source)), done + 1
    settle(options.device)
    seconds, cpu = time.perf_counter() - start, cpu_seconds(os.getpid()) - cpu
    after = totals()
    return {
        "images_per_second": images / seconds,
        "cpu_seconds_per_1000_images": 1000 * cpu / images,
        "first_batch_seconds": first_after,
        **{name: value - before[name] for name, value in after.items()},
        "seconds": seconds,
        "process_start_to_first_batch_seconds": age,
    }


def store_totals(url: str | None) -> dict[str, float]:
    """Returns the counters of a store that grow: requests, bytes, and processor seconds of its processes."""
    if url is None:
        return {}
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60) as answer:
        counts: dict[str, float] = json.loads(answer.read())
    return {name: value for name, value in counts.items() if name not in GAUGES}


def settle(device: str) -> None:
    """Waits until a GPU has completed its queue: an earlier reading of the clock would measure only the launches."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize(device)


def version_of(package: str) -> str:
    """Returns the version of a package; empty if another package replaces it (pillow-simd for Pillow, DALI's wheel for
    an older driver)."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def process_age() -> float:
    """Returns seconds since this process was started, including interpreter and imports."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def count(batch: "torch.Tensor | int") -> int:
    return batch if isinstance(batch, int) else len(batch)


def check(batch: "torch.Tensor | int", options: argparse.Namespace) -> None:
    """Checks that the output is the same for all loaders. Raises SystemExit with the difference."""
    if isinstance(batch, int):
        return
    wanted = ((options.batch, 3, SIZE, SIZE), f"torch.{options.output}")
    if (tuple(batch.shape), str(batch.dtype)) != wanted:
        raise SystemExit(f"a batch of {tuple(batch.shape)} {batch.dtype}, not {wanted}")
    mean, spread = batch.float().mean().item(), batch.float().std().item()
    low, high, least = (-2.2, 2.7, 0.2) if options.output == "float32" else (10, 245, 10)
    if not (low < mean < high and spread > least):
        raise SystemExit(f"mean {mean:.2f} and deviation {spread:.2f} are not those of photographs")
