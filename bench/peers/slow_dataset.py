"""torch's DataLoader with a pretended decoder, of which some images take long, in order or not. `choices`: see
`slow_loader.py`, and `in_order`."""

import argparse
import random
import time
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.slow_decoder import FACTOR, is_slow

RANDOM = 1 << 30
done = {"decoder_seconds": 0.0, "decoded": 0.0}


class Slow(IterableDataset[float]):
    """Yields the seconds that each image took, without end."""

    def __init__(self, batch: int, cost: float, *, clumped: bool) -> None:
        self._batch, self._cost, self._clumped = batch, cost, clumped

    def __iter__(self) -> Iterator[float]:
        worker = get_worker_info()
        draw = random.Random(worker.id if worker else 0)
        while True:
            batch = draw.randrange(RANDOM)
            for _ in range(self._batch):
                slow = is_slow(draw.randrange(RANDOM), batch, clumped=self._clumped)
                begun = time.perf_counter()
                time.sleep(self._cost * (FACTOR if slow else 1))
                yield time.perf_counter() - begun


def batches(options: argparse.Namespace) -> Iterator[int]:
    choices = options.choices
    torch.set_num_threads(1)
    data = Slow(options.batch, choices["cost"], clumped=choices["clumped"])
    loader: DataLoader[float] = DataLoader(
        data,
        options.batch,
        num_workers=choices["threads"],
        in_order=choices["in_order"],
        multiprocessing_context="fork",
    )
    for seconds in loader:
        done["decoder_seconds"] += float(seconds.sum())
        done["decoded"] += len(seconds)
        yield len(seconds)


if __name__ == "__main__":
    stopwatch.run(batches, ("torch",), totals=lambda: dict(done))
