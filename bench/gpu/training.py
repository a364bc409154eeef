"""Measures `tagmill train` of a network, fed by the loader and in turn by batches that are on the GPU already.

python -m tagmill.bench.gpu.training CORPUS --model vit_base_patch16_224 --device cuda:0 ; prints a line of JSON.
The trainer's own steps, in bf16 on a GPU; an image has one of 1,000 labels. The ratio of the two rates is the cost of the
loader for the trainer.
"""

import argparse
import io
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from tagmill.bench import corpora
from tagmill.bench.gpu.watch import Watch
from tagmill.bench.peers.stopwatch import SIZE, settle
from tagmill.bench.processes import cpu_seconds
from tagmill.bench.trainer.feeding import fed, resident
from tagmill.pipeline import Batch, Loader, LoaderConfig
from tagmill.pipeline.decoding import Decoding
from tagmill.pipeline.meters import TRAINER
from tagmill.train import TrainConfig, train

CLASSES = 1000


def config_of(options: argparse.Namespace, output: str) -> TrainConfig:
    """Returns the trainer's settings, for as many steps as are asked for."""
    cpu = options.device == "cpu"
    return TrainConfig(
        corpus=str(corpora.labelled(Path(options.corpus).parent, CLASSES, 1)),
        output=output,
        model=options.model,
        batch_size=options.batch,
        size=SIZE,
        steps=2 * options.rounds * (options.warm + options.batches) + 1,  # no batch is asked for after the last step
        lr=1e-3,
        drop_last=True,
        precision="fp32" if cpu else "bf16",  # bf16 is very slow on most CPUs
        compile=options.compile,
        device="cpu" if cpu else "cuda",
        backend=options.backend,
        threads=options.threads,
        streams=options.streams,
        checkpoint_every=1 << 30,
    )


def measured(
    images: Iterator[Batch],
    options: argparse.Namespace,
    into: list[dict[str, float]],
    waited: Callable[[], float] = float,
) -> Iterator[Batch]:
    """Yields batches to the trainer, a warm-up first. Then `into` has the images/s of the others, with the processor's time,
    the GPU's use, and the share of the time for which the trainer `waited` (a counter of seconds)."""
    yield from itertools.islice(images, options.warm)
    settle(options.device)
    cpu, before, start, count = cpu_seconds(os.getpid()), waited(), time.perf_counter(), 0
    with Watch(options.device) as watch:
        for batch in itertools.islice(images, options.batches):
            yield batch
            count += len(batch)
        settle(options.device)
        seconds = time.perf_counter() - start
    cpu = cpu_seconds(os.getpid()) - cpu
    figures = {"images_per_second": count / seconds, "seconds": seconds, "images": float(count)}
    figures["waited_percent"] = 100 * (waited() - before) / seconds
    into.append(figures | {"cpu_seconds_per_1000_images": 1000 * cpu / count} | watch.figures())


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Runs rounds of both, in turn."""
    found: dict[str, Any] = {"resident": [], "loader": []}

    def feed(loader: Loader, own: Iterator[Batch]) -> Iterator[Batch]:
        kept, stream = resident(own, options.device), iter(loader.endless())
        for _ in range(options.rounds):
            yield from measured(itertools.cycle(kept), options, found["resident"])
            yield from measured(stream, options, found["loader"], lambda: loader.meters.as_dict()["seconds"][TRAINER])
        found["report"] = loader.report()
        yield kept[0]

    usual = TrainConfig.loader_config

    def reading(config: TrainConfig, *given: Any, **named: Any) -> LoaderConfig:
        return replace(usual(config, *given, **named), decoding=Decoding(**options.decoding))

    with (
        tempfile.TemporaryDirectory() as output,
        mock.patch.object(TrainConfig, "loader_config", reading),
        redirect_stdout(io.StringIO()),
        fed(feed),
    ):
        train(config_of(options, output))
    rates = {name: [each["images_per_second"] for each in found[name]] for name in ("resident", "loader")}
    found["ratios"] = [ours / theirs for ours, theirs in zip(rates["loader"], rates["resident"], strict=True)]
    # For the tables: the figures of the loader's rounds.
    return {"images_per_second": sorted(rates["loader"])[len(rates["loader"]) // 2], **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--model", default="vit_base_patch16_224")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="auto", help="backend of the decoder: see LoaderConfig.backend")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--streams", type=int)
    parser.add_argument("--decoding", type=json.loads, default={})
    parser.add_argument("--warm", type=int, default=6)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="the model, by torch.compile, which needs more images/s")
    print(json.dumps(run(parser.parse_args())), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
