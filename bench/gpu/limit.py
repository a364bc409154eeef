"""The graph from memory: tagmill's whole DALI graph on images in memory, for many settings in one process.

python -m tagmill.bench.gpu.limit CORPUS --device cuda:0 < SETTINGS (a JSON list) ; prints a line of JSON a setting, as it ends.
A setting has batch, threads, size and the fields of `Decoding`. There is no store and no planning here: the loader cannot be
faster, and should not be much slower.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from tagmill.bench import corpora
from tagmill.bench.peers.stopwatch import settle
from tagmill.bench.processes import cpu_seconds
from tagmill.pipeline.augment.draws import Crops, train_crops
from tagmill.pipeline.decode.dali import DaliBackend
from tagmill.pipeline.decoding import Decoding

Memory = tuple[list[bytes], Any, Any]  # JPEGs, widths, heights


def orders(memory: Memory, batch: int, size: int) -> Iterator[tuple[list[bytes], Crops, int]]:
    """Yields batches and their images' size without end, in an order that is shuffled once."""
    jpegs, width, height = memory
    order, number = np.random.default_rng(0).permutation(len(jpegs)), 0
    while True:
        positions = np.arange(number * batch, (number + 1) * batch)
        rows = order[positions % len(order)]
        yield [jpegs[row] for row in rows], train_crops(0, 0, positions, width[rows], height[rows]), size
        number += 1


class Ahead:
    """Provides batches in advance, as the loader's assembling thread does."""

    def __init__(self, source: Iterator[tuple[list[bytes], Crops, int]]) -> None:
        self._source = source
        self._made: list[tuple[list[bytes], Crops, int]] = []

    def take(self) -> tuple[list[bytes], Crops, int]:
        """Returns the next one."""
        self.peek(0)
        return self._made.pop(0)

    def peek(self, ahead: int) -> tuple[list[bytes], Crops, int]:
        """See `tagmill.pipeline.decode.cpu.Coming`."""
        while len(self._made) <= ahead:
            self._made.append(next(self._source))
        return self._made[ahead]


def measure(memory: Memory, setting: dict[str, Any], device: str, warm: int, seconds: float) -> dict[str, Any]:
    """Returns images/s and processor seconds per 1,000 images of a setting, over about that many seconds."""
    names = {entry.name for entry in fields(Decoding)}
    decoding = Decoding(**{name: value for name, value in setting.items() if name in names})
    backend = DaliBackend(setting["threads"], device, decoding)
    ahead, images = Ahead(orders(memory, setting["batch"], setting["size"])), 0
    try:
        for _ in range(warm):
            backend.decode(*ahead.take(), None, ahead.peek)
        settle(device)
        cpu, start = cpu_seconds(os.getpid()), time.perf_counter()
        while not images or time.perf_counter() - start < seconds:
            pixels, failed = backend.decode(*ahead.take(), None, ahead.peek)
            images += len(pixels)
            if failed.any():
                raise RuntimeError(f"{int(failed.sum())} pictures failed")
        settle(device)
        taken, cpu = time.perf_counter() - start, cpu_seconds(os.getpid()) - cpu
    finally:
        backend.close()
    memory_used = torch.cuda.mem_get_info(device) if device != "cpu" else (0, 0)
    return {
        "images_per_second": images / taken,
        "cpu_seconds_per_1000_images": 1000 * cpu / images,
        "gpu_memory_bytes": memory_used[1] - memory_used[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--warm", type=int, default=4, help="batches before the clock starts")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a measurement")
    options = parser.parse_args()
    memory = corpora.in_memory(options.corpus)
    for setting in json.load(sys.stdin):
        try:
            line = measure(memory, setting, options.device, options.warm, options.seconds)
        except Exception as error:  # noqa: BLE001  # a setting that fails is a line with the reason
            line = {"reason": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(line), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
