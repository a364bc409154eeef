"""How near `loader.headroom()` comes: what it predicts for the loop of `tagmill train`, beside the loop over batches in memory.

python bench/headroom.py [--images DIR] [--rounds N] [--quick] [--only TEXT] [--out FILE.json]

A round has some steps with the loader, which says at their end how much faster they would be without waits for batches, and as
many steps over batches in memory, which cost none. Both are turns of one trainer in one process, and who is first changes. The
figures are medians over rounds: predicted, measured (seconds with the loader over seconds from memory), and their ratio;
`inside` is the share of rounds in which the measured figure is in the predicted interval.

`disk`: a corpus on the local disk. `slow store`: its images come at a limited rate, so that the loop waits: at 1.2, 2 and 4
times the seconds of a step with the loader. `decoding`: a network so small that images are decoded more slowly than it takes
them. On few cores the loader also takes processor time from the loop, which a wait does not show: the loop may gain more.
"""

import itertools
import math
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from tagmill.bench import corpora, measure
from tagmill.bench.train import Case, config_of, trained
from tagmill.bench.trainer.feeding import Clock, resident
from tagmill.pipeline import Batch, HeadroomReport, Loader
from tagmill.shards.storage.local_store import LocalStore
from tagmill.shards.storage.ranged_reads import Ranges, RangesRead

BATCH, STEPS = 16, 32
SETTLE = 16  # steps after a change that are not measured: more batches than the loader has read or decoded ahead
SAMPLES, CLASSES = 1024, 1000
STREAMS, CHUNK = 2, 16  # little is read ahead, so that a slow store is felt soon
VIT = (("img_size", 96),)


@dataclass(frozen=True)
class LoopCase:
    """A network, and how slowly its images come."""

    name: str
    network: Case
    slow: float | None = None  # seconds in which the store gives a batch, over those of a step; None: no limit

    @property
    def settle(self) -> int:
        """Steps with the loader until what it had ready is used up: the less the store is behind, the longer."""
        return SETTLE if self.slow is None else math.ceil(SETTLE * self.slow / (self.slow - 1))


def _network(model: str, size: int, arguments: tuple[tuple[str, int], ...] = ()) -> Case:
    return Case(model, size, CLASSES, 1, STEPS, arguments)


CASES = (
    LoopCase("disk: vit_tiny_patch16_224, 96 pixels", _network("vit_tiny_patch16_224", 96, VIT)),
    LoopCase("disk: resnet18, 64 pixels", _network("resnet18", 64)),
    LoopCase("slow store, 1.2: vit_tiny_patch16_224", _network("vit_tiny_patch16_224", 96, VIT), 1.2),
    LoopCase("slow store, 2: vit_tiny_patch16_224", _network("vit_tiny_patch16_224", 96, VIT), 2.0),
    LoopCase("slow store, 4: resnet18", _network("resnet18", 64), 4.0),
    LoopCase("decoding: test_resnet, 32 pixels", _network("test_resnet", 32)),
)
QUICK = (
    LoopCase("disk: test_vit, 32 pixels", _network("test_vit", 32, (("img_size", 32),))),
    LoopCase("slow store, 4: test_resnet", _network("test_resnet", 32), 4.0),
)


@dataclass(frozen=True)
class Round:
    """What was predicted for some steps, and what the same steps did."""

    said: HeadroomReport
    loader: float  # seconds of a step
    memory: float

    @property
    def measured(self) -> float:
        """How many times as fast the loop was over batches in memory."""
        return self.loader / self.memory

    @property
    def inside(self) -> bool:
        """Whether that is in the predicted interval."""
        low, high = self.said.low, self.said.high
        return low is not None and high is not None and low <= self.measured <= high


class SlowDisk:
    """Makes the disk give images at a limited rate: each read of a tar waits its turn, without processor time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = 0.0
        self._rate: float | None = None  # bytes/s

    def limit(self, rate: float | None) -> None:
        """From now on the disk gives so many bytes/s; None: as many as it has."""
        with self._lock:
            self._rate = rate

    def wait(self, count: int) -> None:
        """Waits for as long as `count` bytes take, after those that were asked for before."""
        with self._lock:
            if self._rate is None:
                return
            self._free = max(self._free, time.monotonic()) + count / self._rate
            until = self._free
        time.sleep(max(0.0, until - time.monotonic()))

    @contextmanager
    def used(self) -> Iterator[None]:
        """Within it, every store on this machine's disk reads tars at this rate."""
        usual = LocalStore.read_ranges

        def read_ranges(store: LocalStore, name: str, ranges: Ranges) -> RangesRead:
            if name.endswith(".tar"):
                self.wait(sum(stop - start for start, stop in ranges))
            return usual(store, name, ranges)

        with mock.patch.object(LocalStore, "read_ranges", read_ranges):
            yield


def bytes_of_an_image(corpus: Path) -> float:
    """Returns the mean bytes of an image in the shards of a corpus, with the headers of the tars."""
    found = [path.stat().st_size for path in (corpus / "shards").glob("*.tar")]
    return sum(found) / SAMPLES if found else 0.0


def rounds_of(case: LoopCase, corpus: Path, rounds: int, steps: int, image_bytes: float) -> list[Round]:
    """Returns the rounds of a case. The first one, without a limit, is the warm-up, and gives the seconds of a step."""
    found, disk = list[Round](), SlowDisk()
    usual = config_of(case.network, corpus, 2 * (rounds + 1) * (case.settle + steps), BATCH)
    config = replace(usual, streams=STREAMS, chunk=CHUNK)

    def feed(loader: Loader, own: Iterator[Batch]) -> Iterator[Batch]:
        kept, stream = resident(own, "cpu"), iter(loader.endless())
        for number in range(rounds + 1):
            seconds, said = dict[bool, float](), loader.headroom()
            for ours in (True, False) if number % 2 else (False, True):
                source = stream if ours else itertools.cycle(kept)
                yield from itertools.islice(source, case.settle if ours else SETTLE)
                loader.headroom(reset=True)
                clock = Clock()
                yield from itertools.islice(source, steps)
                seconds[ours] = clock.read(steps).seconds / steps
                said = loader.headroom(reset=True) if ours else said
            if number:
                found.append(Round(said, seconds[True], seconds[False]))
            elif case.slow is not None:
                disk.limit(BATCH * image_bytes / (case.slow * seconds[True]))
        disk.limit(None)
        yield kept[0]

    with disk.used():
        trained(config, feed)
    return found


def figures(found: list[Round]) -> tuple[dict[str, Any], float]:
    """Returns a case of the results, and the median of predicted over measured of its rounds."""
    ratio = statistics.median(each.said.speedup / each.measured for each in found)
    return {
        "unit": "times as fast",
        "median": statistics.median(each.said.speedup for each in found),
        "measured": statistics.median(each.measured for each in found),
        "waited": statistics.median(each.said.waited / each.said.seconds for each in found),
        "inside": sum(each.inside for each in found) / len(found),
        "runs": [[each.said.speedup, each.said.low, each.said.high, each.measured] for each in found],
        "loader_ms": statistics.median(1000 * each.loader for each in found),
        "memory_ms": statistics.median(1000 * each.memory for each in found),
    }, ratio


def main(arguments: list[str] | None = None) -> None:
    parser = measure.arguments(__doc__ or "")
    parser.set_defaults(rounds=7)
    parser.add_argument("--only", default="", help="only cases whose name contains this, for example decoding")
    parser.add_argument("--threads", type=int, default=1, help="of torch, and of the decoder")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    rounds, steps = (min(2, options.rounds), 8) if options.quick else (options.rounds, STEPS)
    images = measure.pictures(options.images, 32 if options.quick else None)
    corpus = corpora.labelled(corpora.prepare(images, SAMPLES), CLASSES, 1)
    size, cases, ratios = bytes_of_an_image(corpus), dict[str, dict[str, object]](), dict[str, float]()
    for case in QUICK if options.quick else CASES:
        if options.only in case.name:
            found, ratio = figures(rounds_of(case, corpus, rounds, steps, size))
            cases[case.name], ratios[f"{case.name}: predicted/measured"] = found, ratio
            print(
                f"{case.name:44} predicted {found['median']:6.2f}  measured {found['measured']:6.2f} times as fast   "
                f"ratio {ratio:.3f}, in the interval {found['inside']:.0%}",
                flush=True,
            )
    if options.out is not None:
        measure.write("headroom", cases, ratios, options.out)


if __name__ == "__main__":
    main()
