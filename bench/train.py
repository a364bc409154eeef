"""Measures what the trainer costs beyond its network: its own loop, and the loader beside it.

python bench/train.py [--images DIR] [--rounds N] [--quick] [--only TEXT] [--out FILE.json]

`step`: turns of the real `tagmill train` on batches in memory, beside a bare loop of timm's network, torch's fused
optimiser and cross-entropy on ready targets, in turn in one process. A figure is the processor time of a step, and the ratio
the median over pairs. The trainer also computes the norm of the gradient, the log and the agreement to stop. `labels`:
one label an image and class numbers, or three and dense targets of 1/3.

`fed`: the same trainer with the loader beside it, as images/s over images/s from memory: both share the cores.

`save`: as many steps with a checkpoint at their beginning, and without. A figure is what a checkpoint costs in processor
time, with all that is written in the background; the ratio is its share of two minutes of training, in time. The state of
ViT-B/16 with momentum is 0.7 GB.
"""

import io
import itertools
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tagmill.bench import corpora, measure
from tagmill.bench.trainer.bare import bare_loop
from tagmill.bench.trainer.feeding import Clock, Cost, Feed, fed, resident, turns
from tagmill.pipeline import Batch, Loader
from tagmill.train import TrainConfig, train

BATCH, STREAMS, LOG_EVERY = 32, 8, 20
PAIRS = 7
SAMPLES = 1024
SETTLE = 6  # steps: more batches than the loader has ready
BETWEEN = 120.0  # seconds from one checkpoint to the next, in a run
BESIDE = {"step": "tagmill/bare loop", "fed": "loader/in memory", "save": "share of two minutes"}


@dataclass(frozen=True)
class Case:
    """A network and its labels."""

    model: str
    size: int
    classes: int
    labels: int  # of an image
    steps: int  # of one side of a pair
    model_args: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str:
        """What it is called in results."""
        return f"{self.model}, {self.size} pixels, {self.classes:,} labels, {self.labels} an image"


VIT = (("img_size", 96),)
CASES = (
    Case("vit_tiny_patch16_224", 96, 1000, 1, 20, VIT),
    Case("vit_tiny_patch16_224", 96, 17000, 3, 20, VIT),
    Case("resnet18", 64, 1000, 1, 20),
    Case("resnet18", 64, 17000, 3, 20),
)
SAVED = (Case("vit_base_patch16_224", 32, 1000, 1, 20, (("img_size", 32),)),)
SAVED_BATCH = 4  # small: the state is what counts
QUICK = (Case("test_vit", 32, 1000, 1, 2, (("img_size", 32),)), Case("test_resnet", 32, 17000, 3, 2))


Pair = tuple[Cost, Cost]  # of ours, of the other


def config_of(case: Case, corpus: Path, steps: int, batch: int) -> TrainConfig:
    """Returns the trainer's settings for a number of measured steps, and one more: the last one ends the run, and no batch
    is asked for after it. SGD with Nesterov momentum, a line of the log every 20 steps, no checkpoint before the end."""
    return TrainConfig(
        corpus=str(corpus),
        model=case.model,
        model_args=dict(case.model_args),
        size=case.size,
        batch_size=batch,
        steps=steps + 1,
        lr=1e-3,
        streams=STREAMS,
        log_every=LOG_EVERY,
        checkpoint_every=1 << 30,
        device="cpu",
        backend="cpu",
        threads=torch.get_num_threads(),
    )


def trained(config: TrainConfig, feed: Feed) -> None:
    """Runs the trainer on what `feed` gives it; what it says is of no interest, unless it fails."""
    with tempfile.TemporaryDirectory() as output, fed(feed), redirect_stdout(io.StringIO()):
        train(replace(config, output=output))


def step_pairs(case: Case, corpus: Path, pairs: int, batch: int) -> list[Pair]:
    """Returns pairs of costs: of our steps, and of as many of the bare loop. Who is first changes."""
    found: list[Pair] = []
    config = config_of(case, corpus, (pairs + 1) * case.steps, batch)
    step = bare_loop(config, case.classes, "cpu")

    def feed(loader: Loader, own: Iterator[Batch]) -> Iterator[Batch]:
        batches = resident(own, "cpu")
        loader.close()
        for number in range(pairs + 1):
            costs: dict[bool, Cost] = {}
            for ours in (True, False) if number % 2 else (False, True):
                clock = Clock()
                if ours:
                    yield from turns(batches, case.steps)
                else:
                    for each in turns(batches, case.steps):
                        step(each)
                costs[ours] = clock.read(case.steps)
            if number:  # the first pair is the warm-up
                found.append((costs[True], costs[False]))
        yield batches[0]

    trained(config, feed)
    return found


def fed_pairs(case: Case, corpus: Path, pairs: int, batch: int) -> list[Pair]:
    """Returns pairs of costs: of steps with the loader, and of as many from memory. Each begins with a few that are not
    measured: until the loader works at the trainer's rate, or has read ahead as far as it will."""
    found: list[Pair] = []
    settle = min(SETTLE, case.steps)
    config = config_of(case, corpus, 2 * (pairs + 1) * (case.steps + settle), batch)

    def feed(loader: Loader, own: Iterator[Batch]) -> Iterator[Batch]:
        kept, stream = resident(own, "cpu"), iter(loader.endless())
        for number in range(pairs + 1):
            costs = []
            for source in (stream, itertools.cycle(kept)):
                yield from itertools.islice(source, settle)
                clock = Clock()
                yield from itertools.islice(source, case.steps)
                costs.append(clock.read(case.steps))
            if number:
                found.append((costs[0], costs[1]))
        yield kept[0]

    trained(config, feed)
    return found


def save_pairs(case: Case, corpus: Path, pairs: int, batch: int) -> list[Pair]:
    """Returns pairs of costs: of steps of which the first ends with a checkpoint, and of as many without."""
    found: list[Pair] = []
    every = 2 * case.steps
    config = replace(config_of(case, corpus, every * (pairs + 1), batch), checkpoint_every=every)

    def feed(loader: Loader, own: Iterator[Batch]) -> Iterator[Batch]:
        batches = itertools.cycle(resident(own, "cpu"))
        loader.close()
        yield from itertools.islice(batches, every - 1)
        for _ in range(pairs):
            costs = []
            for _ in range(2):
                clock = Clock()
                yield from itertools.islice(batches, case.steps)
                costs.append(clock.read(case.steps))
            found.append((costs[0], costs[1]))
        yield from batches

    trained(config, feed)
    return found


def saved(case: Case, corpus: Path, pairs: int, batch: int) -> tuple[dict[str, Any], float]:
    """Returns a case of the results, and the share of the time that checkpoints take."""
    found = save_pairs(case, corpus, pairs, batch)
    cpu = [one.tree_seconds - other.tree_seconds for one, other in found]
    shares = [(one.seconds - other.seconds) / BETWEEN for one, other in found]
    line = {"unit": "s of a processor", "median": statistics.median(cpu), "runs": cpu, "shares": shares}
    share = statistics.median(shares)
    print(f"save: {case.name:60} {line['median']:8.2f} {line['unit']} a checkpoint   share {share:.4f}", flush=True)
    return line, share


def summary(pairs: list[Pair], figure: str) -> dict[str, Any]:
    """Returns the medians of a figure of both sides, and the ratios of the pairs."""
    values = [[getattr(cost, figure) / cost.turns for cost in side] for side in zip(*pairs, strict=True)]
    ratios = [ours / theirs for ours, theirs in zip(*values, strict=True)]
    ours, theirs = (1000 * statistics.median(side) for side in values)
    return {"ours": ours, "theirs": theirs, "ratio": statistics.median(ratios), "ratios": ratios}


def measured(kind: str, case: Case, corpus: Path, pairs: int, batch: int) -> tuple[dict[str, Any], float]:
    """Returns a case of the results, and its ratio."""
    if kind == "step":
        found = summary(step_pairs(case, corpus, pairs, batch), "cpu_seconds")
        line = {"unit": "ms of a processor a step", "bare_loop": found["theirs"]}
    else:
        both = fed_pairs(case, corpus, pairs, batch)
        found = summary(both, "seconds")
        found["ratio"], found["ratios"] = 1 / found["ratio"], [1 / ratio for ratio in found["ratios"]]
        cpu = summary(both, "cpu_seconds")
        line = {
            "unit": "ms a step",
            "resident": found["theirs"],
            "cpu_ms": cpu["ours"],
            "resident_cpu_ms": cpu["theirs"],
        }
    line |= {"median": found["ours"], "runs": found["ratios"]}
    low, high = min(found["ratios"]), max(found["ratios"])
    print(f"{kind}: {case.name:60} {found['ours']:8.2f} {line['unit']}, {found['theirs']:8.2f} beside", end="")
    print(f"   ratio {found['ratio']:.3f} ({low:.3f} to {high:.3f})", flush=True)
    return line, found["ratio"]


def main(arguments: list[str] | None = None) -> None:
    parser = measure.arguments(__doc__ or "")
    parser.set_defaults(rounds=PAIRS)
    parser.add_argument("--only", default="", help="only cases whose name contains this, for example step: resnet18")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--threads", type=int, default=1, help="of torch, and of the decoder")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    pairs = min(2, options.rounds) if options.quick else options.rounds
    batch = 8 if options.quick else options.batch
    pictures = measure.pictures(options.images, 32 if options.quick else None)
    folder = corpora.prepare(pictures, 256 if options.quick else SAMPLES)
    cases, ratios = dict[str, dict[str, object]](), dict[str, float]()
    for kind, beside in BESIDE.items():
        for case in QUICK if options.quick else SAVED if kind == "save" else CASES:
            name = f"{kind}: {case.name}"
            if options.only in name:
                corpus = corpora.labelled(folder, case.classes, case.labels)
                if kind == "save":
                    found = saved(case, corpus, pairs, min(batch, SAVED_BATCH))
                else:
                    found = measured(kind, case, corpus, pairs, batch)
                cases[name], ratios[f"{name}: {beside}"] = found
    if options.out is not None:
        measure.write("train", cases, ratios, options.out)


if __name__ == "__main__":
    main()
