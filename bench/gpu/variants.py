"""Compares DALI's own reader with tagmill's backend step by step: the cost of each step, and the threads that bear it.

python -m tagmill.bench.gpu.variants CORPUS [--device cuda:0] [--seconds S] [--rounds N] [--out FILE.json]

Every variant decodes the same images with 16 threads, or as many as there are cores, without a store and a plan (except
DALI's reader, which reads the tars). Variants take turns; look for a step whose rate or processor time differs from the one
before. docs/reference/gpu-measurements.md has an example: the hardware decoder got one image of each batch.
"""

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nvidia.dali import fn, types
from nvidia.dali.pipeline import Pipeline

from tagmill.bench import corpora
from tagmill.bench.gpu import machine
from tagmill.bench.gpu.limit import Ahead, Memory, orders
from tagmill.bench.peers.stopwatch import SIZE, settle
from tagmill.bench.processes import TICKS
from tagmill.pipeline.decode.cpu_affinity import cores_per_rank
from tagmill.pipeline.decode.dali import DaliBackend
from tagmill.pipeline.decode.dali_graph import Graph
from tagmill.pipeline.decoding import Decoding

WARM = 8  # batches before the clock starts
BUFFER = 1024  # samples that DALI's reader shuffles
CROP: dict[str, Any] = {"random_area": [0.08, 1.0], "random_aspect_ratio": [3 / 4, 4 / 3]}
RESIZE: dict[str, Any] = {"interp_type": types.INTERP_LINEAR, "antialias": True}

Step = Callable[[], object]


class Variants:
    """A variant: each maker builds its pipeline and returns a function that runs one batch."""

    def __init__(self, corpus: str, device: str, threads: int, batch: int) -> None:
        self.corpus, self.device, self.threads, self.batch = corpus, device, threads, batch
        self.device_id = None if device == "cpu" else int(device.partition(":")[2] or 0)
        self.memory: Memory = corpora.in_memory(corpus)

    def all(self) -> dict[str, Callable[[], Step]]:
        """Returns the variants by name, in the order of the steps."""
        interpolated = {"jpeg_fancy_upsampling": True}
        found: dict[str, Callable[[], Step]] = {
            "DALI's reader and graph": self.reader,
            "windows alone, fed by a generator": partial(self.fed, finish=False),
            "the same, resized and flipped": partial(self.fed, finish=True),
            "the same, colours interpolated": partial(self.fed, finish=True, **interpolated),
            "the same, not turned upright": partial(self.fed, finish=True, **interpolated, adjust_orientation=False),
            "tagmill's graph": partial(self.graph, torch=False),
            "the same, handed to torch": partial(self.graph, torch=True),
            "tagmill's backend": self.backend,
            "the same, three batches deep": partial(self.backend, depth=3),
        }
        if self.device_id is not None:
            found["DALI's reader and graph, no hardware decoder"] = partial(self.reader, hw_decoder_load=0.0)
            for load in (0.0, 0.35, 0.9):
                found[f"tagmill's backend, hardware decoder {load}"] = partial(self.backend, hw_decoder_load=load)
        return found

    def reader(self, **more: Any) -> Step:
        """DALI's reader as in bench/peers/dali_reader.py, without an iterator around it."""
        pipeline = Pipeline(self.batch, self.threads, self.device_id, prefetch_queue_depth=2, seed=1)
        with pipeline:
            tars, indexes = (corpora.shards(self.corpus, suffix) for suffix in (".tar", ".idx"))
            files: dict[str, Any] = {"paths": tars, "index_paths": indexes, "ext": ["jpg"]}
            jpegs = fn.readers.webdataset(**files, random_shuffle=True, initial_fill=BUFFER, name="reader")
            images = fn.decoders.image_random_crop(jpegs, device=self._decoder(), **CROP, **more)
            images = fn.resize(images, size=[SIZE, SIZE], **RESIZE)
            pipeline.set_outputs(fn.flip(images, horizontal=fn.random.coin_flip()))
        pipeline.build()
        return pipeline.run  # type: ignore[no-any-return]

    def fed(self, finish: bool, **more: Any) -> Step:
        """DALI's calls without tagmill's graph, on the windows that tagmill draws."""
        pipeline = Pipeline(self.batch, self.threads, self.device_id, prefetch_queue_depth=2)
        with pipeline:
            kinds = [types.UINT8, types.INT32, types.INT32]
            jpegs, anchors, shapes = fn.external_source(self._feed(), num_outputs=3, dtype=kinds)
            absolute: dict[str, Any] = {"axis_names": "WH", "normalized_anchor": False, "normalized_shape": False}
            images = fn.decoders.image_slice(jpegs, anchors, shapes, device=self._decoder(), **absolute, **more)
            if finish:
                images = fn.resize(images, resize_x=SIZE, resize_y=SIZE, **RESIZE)
                images = fn.flip(images, horizontal=fn.random.coin_flip())
            pipeline.set_outputs(images)
        pipeline.build()
        return pipeline.run  # type: ignore[no-any-return]

    def graph(self, torch: bool) -> Step:
        """tagmill's graph, with or without its delivery to torch."""
        graph, source = (
            Graph(self.batch, self.threads, self.device_id, Decoding()),
            orders(self.memory, self.batch, SIZE),
        )
        nothing, fed = np.zeros(self.batch, np.bool_), list[Any]()  # inputs must live until their outputs are collected

        def start() -> None:
            fed.append(graph.inputs(*next(source), nothing))
            graph.start(fed[-1])

        def step() -> None:
            if torch:
                graph.collect()
            else:
                graph.drop()
            fed.pop(0)
            start()

        for _ in range(Decoding().depth):
            start()
        return step

    def backend(self, **decoding: Any) -> Step:
        """Whole batches on the device, as the loader requests them."""
        backend, ahead = (
            DaliBackend(self.threads, self.device, Decoding(**decoding)),
            Ahead(orders(self.memory, self.batch, SIZE)),
        )
        return lambda: backend.decode(*ahead.take(), None, ahead.peek)

    def _decoder(self) -> str:
        return "cpu" if self.device_id is None else "mixed"

    def _feed(self) -> Iterator[tuple[list[Any], list[Any], list[Any]]]:
        for jpegs, crops, _ in orders(self.memory, self.batch, SIZE):
            anchors, shapes = np.stack([crops.x, crops.y], -1), np.stack([crops.width, crops.height], -1)
            yield [np.frombuffer(jpeg, np.uint8) for jpeg in jpegs], list(anchors), list(shapes)


def thread_ticks() -> Counter[str]:
    """Returns the processor time of this process's threads so far, in TICKS a second, by the beginning of their names
    (the system keeps 15 letters)."""
    found = Counter[str]()
    for stat in Path("/proc/self/task").glob("*/stat"):
        with suppress(OSError):  # it has just ended
            head, _, tail = stat.read_text().rpartition(")")
            fields = tail.split()
            name = head.partition("(")[2].rstrip("0123456789")
            name = name.partition("][TP")[0] + "][threads]" if "][TP" in name else name
            found[name] += int(fields[11]) + int(fields[12])
    return found


def measure(step: Step, batch: int, device: str, seconds: float) -> dict[str, Any]:
    """Returns images/s, processor seconds per 1,000 images, and the cores that each kind of thread kept busy."""
    for _ in range(WARM):
        step()
    settle(device)
    before, start, images = thread_ticks(), time.perf_counter(), 0
    while not images or time.perf_counter() - start < seconds:
        step()
        images += batch
    settle(device)
    taken = time.perf_counter() - start
    grown = thread_ticks() - before
    cores = {
        name: round(ticks / TICKS / taken, 2) for name, ticks in grown.most_common() if ticks / TICKS / taken >= 0.05
    }
    cpu = 1000 * grown.total() / TICKS / images
    return {"images_per_second": images / taken, "cpu_seconds_per_1000_images": cpu, "cores": cores}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=min(16, cores_per_rank()))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a measurement")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    variants = Variants(options.corpus, options.device, options.threads, options.batch).all()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, make in variants.items():
            try:
                runs[name].append(measure(make(), options.batch, options.device, options.seconds))
            except RuntimeError as error:  # a variant that is not available gives the reason
                print(f"{name}: {str(error)[:300]}", file=sys.stderr)
    for name, found in runs.items():
        if found:
            rate, cpu = (
                statistics.median(run[figure] for run in found)
                for figure in ("images_per_second", "cpu_seconds_per_1000_images")
            )
            print(f"{name:46} {rate:9,.0f} images/s  {cpu:5.2f} CPU s/1,000  {found[0]['cores']}")
    if options.out:
        head = {"name": "gpu variants", **machine.facts(options.device), "device": options.device}
        options.out.write_text(json.dumps(head | {"runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
