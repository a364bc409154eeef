"""Measures a network in training, fed by the loader and, in turn in the same process, by batches that are on the GPU already.

python -m tagmill.bench.gpu.training CORPUS --model vit_base_patch16_224 --device cuda:0 ; prints a line of JSON.
bf16 and channels_last, SGD; labels are random, because only the time is measured. The ratio of the two rates is the cost of
the loader for the trainer.
"""

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import timm
import torch
from torch.nn import functional

from tagmill.bench.gpu.watch import Watch
from tagmill.bench.peers.stopwatch import MEAN, SIZE, STD, settle
from tagmill.bench.processes import cpu_seconds
from tagmill.pipeline import Loader, LoaderConfig
from tagmill.pipeline.decoding import Decoding
from tagmill.pipeline.meters import TRAINER

CLASSES = 1000
RESIDENT = 4  # batches that are on the device


def step_of(options: argparse.Namespace) -> Callable[[torch.Tensor], None]:
    """Trains the model on a batch of normalised images."""
    torch.backends.cudnn.benchmark = True  # all batches have the same shape
    layout = torch.channels_last
    model = timm.create_model(options.model, num_classes=CLASSES).to(options.device, memory_format=layout).train()
    run = torch.compile(model) if options.compile else model
    optimiser = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    targets = torch.randint(0, CLASSES, (options.batch,), device=options.device)
    kind = torch.device(options.device).type

    def step(images: torch.Tensor) -> None:
        low = kind == "cuda"  # bf16 is very slow on most CPUs
        with torch.autocast(kind, torch.bfloat16, enabled=low):
            loss = functional.cross_entropy(run(images if low else images.float()).float(), targets[: len(images)])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def config_of(options: argparse.Namespace) -> LoaderConfig:
    """Opens the loader, delivering normalised bf16 on the device."""
    return LoaderConfig(
        view=None,
        batch_size=options.batch,
        size=SIZE,
        output="bfloat16",
        mean=tuple(255 * each for each in MEAN),  # type: ignore[arg-type]
        std=tuple(255 * each for each in STD),  # type: ignore[arg-type]
        device=options.device,
        backend=options.backend,
        threads=options.threads,
        streams=options.streams,
        drop_last=True,
        decoding=Decoding(**options.decoding),
    )


def measured(
    images: Iterator[torch.Tensor],
    step: Callable[[torch.Tensor], None],
    options: argparse.Namespace,
    waited: Callable[[], float] = float,
) -> dict[str, float]:
    """Returns images/s of a number of batches after a warm-up, with the processor's time, the GPU's use, and the share
    of the time for which the trainer `waited` (a counter of seconds)."""
    for batch in itertools.islice(images, options.warm):
        step(batch)
    settle(options.device)
    cpu, before, start, count = cpu_seconds(os.getpid()), waited(), time.perf_counter(), 0
    with Watch(options.device) as watch:
        for batch in itertools.islice(images, options.batches):
            step(batch)
            count += len(batch)
        settle(options.device)
        seconds = time.perf_counter() - start
    cpu = cpu_seconds(os.getpid()) - cpu
    figures = {"images_per_second": count / seconds, "seconds": seconds, "images": float(count)}
    figures["waited_percent"] = 100 * (waited() - before) / seconds
    return figures | {"cpu_seconds_per_1000_images": 1000 * cpu / count} | watch.figures()


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Runs rounds of both, in turn."""
    step, config = step_of(options), config_of(options)
    found: dict[str, Any] = {"resident": [], "loader": []}
    with Loader(options.corpus, config) as loader:
        kept = [batch.images.clone() for batch in itertools.islice(loader.endless(), RESIDENT)]
        for _ in range(options.rounds):
            found["resident"].append(measured(itertools.cycle(kept), step, options))
            stream = (batch.images for batch in loader.endless())
            found["loader"].append(measured(stream, step, options, lambda: loader.meters.as_dict()["seconds"][TRAINER]))
            stream.close()
        found["report"] = loader.report()
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
