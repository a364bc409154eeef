"""A network of ImageNet-1k and the demo's own, each beside random networks of its kind, on real images: emoji by subgroup, and
digits of MNIST.

python bench/transfer_real.py [--data DIR] [--demo SOURCE] [--side N] [--tuned N] [--processes N] [--quick] [--out FILE.json]

The data is what `make transfer-data` brings. Protocols: linear probe, k nearest neighbours, 1, 5, 10 and 25 images of each
class, and a short fine-tuning. Batch statistics of a random network are set on 1,000 images that are not judged. Emoji are
divided into five folds, and drawn again for intervals, in whole: both makers' images of one emoji are never apart. What is
expected is that the interval of the network of ImageNet is above those of all its random networks under linear probe, k-NN and
25 images of each class. Whatever comes out is printed.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import timm
import torch

from tagmill.bench import measure
from tagmill.bench.divided_sets import SUBGROUPS, DividedSet, digits, emoji_by_subgroup
from tagmill.shards import TagmillError
from tagmill.training.trained.model import Trained, Transform
from tagmill.transfer.features.backbone import Backbone, open_backbone, read_model
from tagmill.transfer.features.decoded import decoded_batches
from tagmill.transfer.features.extract import extract
from tagmill.transfer.features.random_network import RANDOM_SEEDS, STATISTICS_IMAGES, random_network
from tagmill.transfer.finetune.fine_tune import fine_tune
from tagmill.transfer.finetune.options import FineTuneOptions
from tagmill.transfer.outcome.intervals import Estimate, Floats, bootstrap, sums_by_group
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.right_classes import right_at
from tagmill.transfer.probes.few_shot import SHOT_SEEDS, SHOTS, few_shot
from tagmill.transfer.probes.knn import nearest_neighbours
from tagmill.transfer.probes.linear import LinearSettings, linear_probe
from tagmill.transfer.probes.probe_input import ProbeInput
from tagmill.transfer.report.report_facts import library_versions
from tagmill.transfer.sets.chosen_set import choose
from tagmill.transfer.sets.labelled_set import LabelledSet

LINEAR_GRID = tuple(10.0**power for power in range(-3, 1))
TUNING = FineTuneOptions(scale=0.05, size=64, batch_size=32, device="cpu", threads=1, checkpoint_every=1_000_000)
LITE0, DEMO = "lite0", "demo"
FOLDER = "efficientnet-lite0"
FINE_TUNE = "fine-tune"
EXPECTED = ("linear", "k-NN", "25-shot")  # protocols under which the intervals are expected to be apart
COMPARED = 32  # images whose features timm computes too


def _shots(shots: int) -> Callable[[ProbeInput], list[Outcome]]:
    return lambda data: [few_shot(data, shots, seed, allow_fewer=True) for seed in SHOT_SEEDS]


PROBES: dict[str, Callable[[ProbeInput], list[Outcome]]] = {
    "linear": lambda data: [linear_probe(data, LinearSettings(grid=LINEAR_GRID))],
    "k-NN": lambda data: [nearest_neighbours(data)],
    **{f"{shots}-shot": _shots(shots) for shots in SHOTS},
}


@dataclass
class Clock:
    """Processor seconds of each kind of work."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, work: str) -> Iterator[None]:
        """Adds the time of a block."""
        begun = time.process_time()
        yield
        self.add({work: time.process_time() - begun})

    def add(self, seconds: Mapping[str, float]) -> None:
        """Adds the times of another process."""
        for work, value in seconds.items():
            self.seconds[work] = self.seconds.get(work, 0.0) + value


@dataclass(frozen=True)
class Compared:
    """Shares of right predictions under one protocol: of a trained network, and of each random one of its kind."""

    trained: Estimate
    random: tuple[Estimate, ...]

    @property
    def apart(self) -> bool:
        """Whether the interval of the trained network is above all of the random ones."""
        return self.trained.low > max(each.high for each in self.random)


@dataclass(frozen=True)
class Amounts:
    """How much is judged."""

    subgroups: tuple[str, ...] = SUBGROUPS
    digits: tuple[int, int, int] = (1, 2, 7)  # parts of 5,000: to learn from, to judge on, and the rest
    statistics: int = STATISTICS_IMAGES
    side: int = 128  # pixels, of the network of ImageNet: its own are 224, which take three times as long
    random: int = len(RANDOM_SEEDS)  # networks beside that of ImageNet
    demo_random: int = 2  # and beside the demo's
    tuned: int = len(RANDOM_SEEDS)  # random networks of each kind, at most, that are fine-tuned


QUICK = Amounts(SUBGROUPS[:3], (2, 2, 46), 100, 64, 1, 1, 1)


def open_sets(data: Path, amounts: Amounts) -> dict[str, DividedSet]:
    """Returns the sets by name. Raises TagmillError where `make transfer-data` did not bring them."""
    return {
        "emoji": emoji_by_subgroup(data / "emoji/both.csv", amounts.subgroups, amounts.statistics),
        "MNIST": digits(data / "mnist-5k.npz", amounts.digits, amounts.statistics),
    }


def open_model(name: str, data: Path, demo: str, side: int) -> Trained:
    """Returns a trained network by its name here. Raises TagmillError where it is not there."""
    return at_side(read_model(str(data / FOLDER)), side) if name == LITE0 else read_model(demo)


def pooled(outcomes: Sequence[Outcome]) -> Estimate:
    """Returns the share of right predictions of all outcomes (folds, draws of few-shot images). For its interval groups of
    images are drawn with replacement, each with all its predictions."""
    right = np.concatenate([right_at(each)[:, 0] for each in outcomes]).astype(np.int64)
    names = np.concatenate(
        [each.keys if each.groups is None else np.where(each.groups == "", each.keys, each.groups) for each in outcomes]
    )
    used, place = np.unique(names, return_inverse=True)

    def share(drawn: Floats) -> Floats:
        found: Floats = (drawn[:, 1] / drawn.sum(axis=1))[:, None]
        return found

    low, high = bootstrap(sums_by_group(place.astype(np.int64), right, len(used), 2), share)
    return Estimate(float(right.mean()), float(low[0]), float(high[0]))


def judge_network(trained: Trained, divided: DividedSet, work: str | None, clock: Clock) -> dict[str, Estimate]:
    """Returns what a network reaches under each protocol. Fine-tuning is judged on the first fold; it keeps its files in
    `work`, and is left out without."""
    with clock.of("features"):
        table = extract(open_backbone(trained, device="cpu"), divided.images, threads=1)
    parts = list(divided.parts(table, trained.where))
    found = dict[str, Estimate]()
    for name, probe in PROBES.items():
        with clock.of(name):
            found[name] = pooled([outcome for part in parts for outcome in probe(part)])
    if work is not None:
        with clock.of(FINE_TUNE):
            found[FINE_TUNE] = pooled([fine_tune(trained, *divided.first_fold(), TUNING, work)])
    return found


@dataclass(frozen=True)
class Task:
    """A network to judge on a set, in a process of its own."""

    set: str
    model: str
    seed: int | None  # of a random network; None: the trained one
    amounts: Amounts
    data: Path
    demo: str
    work: str

    def run(self) -> tuple[dict[str, Estimate], dict[str, float]]:
        """Returns shares by protocol, and seconds by kind of work."""
        torch.set_num_threads(1)  # two threads that wait for each other are slow where others use the cores too
        clock, divided = Clock(), open_sets(self.data, self.amounts)[self.set]
        network = open_model(self.model, self.data, self.demo, self.amounts.side)
        if self.seed is not None:
            with clock.of("batch statistics"):
                network = random_network(network, self.seed, divided.unjudged, threads=1)
        tuned = self.seed is None or self.seed < self.amounts.tuned
        return judge_network(network, divided, self.work if tuned else None, clock), dict(clock.seconds)


def run_tasks(tasks: Sequence[Task], processes: int, clock: Clock) -> dict[str, dict[str, Compared]]:
    """Returns the figures by set and model, then by protocol. Prints each network as it ends."""
    found = dict[Task, dict[str, Estimate]]()
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        running = {pool.submit(Task.run, task): task for task in tasks}
        for future in as_completed(running):
            task, (shares, seconds) = running[future], future.result()
            found[task] = shares
            clock.add(seconds)
            title = "trained" if task.seed is None else f"random {task.seed}"
            shown = "  ".join(f"{name} {each.value:.3f}" for name, each in shares.items())
            print(f"{task.set}, {task.model}, {title}: {shown}", flush=True)
    return {
        f"{task.set}, {task.model}": {
            name: Compared(
                trained,
                tuple(
                    found[other][name]
                    for other in tasks
                    if (other.set, other.model) == (task.set, task.model)
                    and other.seed is not None
                    and name in found[other]
                ),
            )
            for name, trained in found[task].items()
        }
        for task in tasks
        if task.seed is None
    }


@torch.inference_mode()
def difference_from_timm(folder: Path, backbone: Backbone, images: LabelledSet) -> float:
    """Returns the largest difference between our features and those of timm's own network, which timm loads from the folder
    of the model, on the same decoded images."""
    places, transform = list(range(min(COMPARED, len(images)))), backbone.transform
    ours = extract(backbone, choose(images, places, "compared")).values
    network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    (found,) = decoded_batches(images, [places], transform)
    mean, std = (torch.tensor(each).reshape(1, 3, 1, 1) for each in (transform.mean, transform.std))
    theirs = network((found.batch.images.float() - mean) / std)
    return float((theirs - torch.from_numpy(ours)).abs().max())


def at_side(trained: Trained, side: int) -> Trained:
    """Returns a network for images of `side` pixels, the whole of them, wherever it is used."""
    return replace(trained, transform=replace(trained.transform or Transform(), size=side, share=1.0))


def table_lines(found: Mapping[str, Mapping[str, Compared]]) -> list[str]:
    """Returns the figures in percent as a table: by set and network, then by protocol."""
    lines = [f"{'':28}{'trained':>8}  {'95 %':12} {'random: mean':>13}  {'lowest to highest of 95 %':26} apart"]
    for title, protocols in found.items():
        for name, each in protocols.items():
            mean = np.mean([other.value for other in each.random])
            low, high = min(other.low for other in each.random), max(other.high for other in each.random)
            own = f"{100 * each.trained.low:.1f} to {100 * each.trained.high:.1f}"
            theirs = f"{100 * low:.1f} to {100 * high:.1f}"
            lines.append(
                f"{f'{title}, {name}':28}{100 * each.trained.value:8.1f}  {own:12} {100 * mean:13.1f}  {theirs:26} "
                f"{'yes' if each.apart else 'no'}"
            )
    return lines


def verdict(found: Mapping[str, Mapping[str, Compared]]) -> str:
    """Returns whether the network of ImageNet is where it is expected to be."""
    wanted = [(title, name) for title in found if title.endswith(LITE0) for name in EXPECTED]
    missed = [f"{title}, {name}" for title, name in wanted if not found[title][name].apart]
    if missed:
        return f"NOT as expected: the intervals are not apart under {'; '.join(missed)}"
    return f"as expected: the intervals of {LITE0} are above those of all random networks in all {len(wanted)} cases"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("out/transfer-data"), help="what make transfer-data brought")
    parser.add_argument("--demo", default="out/demo/model", help="the demo's model, left out where there is none")
    parser.add_argument("--side", type=int, default=Amounts.side, help="pixels, of the network of ImageNet")
    parser.add_argument("--tuned", type=int, default=Amounts.tuned, help="random networks that are fine-tuned, at most")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="networks at a time")
    parser.add_argument("--quick", action="store_true", help="one random network, few images: a test that it runs")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    begun, clock, amounts = (
        time.perf_counter(),
        Clock(),
        QUICK if options.quick else Amounts(side=options.side, tuned=options.tuned),
    )
    sets, models = (
        open_sets(options.data, amounts),
        {LITE0: open_model(LITE0, options.data, options.demo, amounts.side)},
    )
    try:
        models[DEMO] = open_model(DEMO, options.data, options.demo, amounts.side)
    except TagmillError as error:
        print(f"without the demo's model: {error}")
    difference = difference_from_timm(
        options.data / FOLDER, open_backbone(models[LITE0], device="cpu"), sets["emoji"].images
    )
    print(f"{LITE0}: largest difference from timm's own features {difference:.1e}, {COMPARED} images", flush=True)
    with tempfile.TemporaryDirectory() as work:
        tasks = [
            Task(name, model, seed, amounts, options.data, options.demo, work)
            for model in models
            for seed in (None, *RANDOM_SEEDS[: amounts.random if model == LITE0 else amounts.demo_random])
            for name in sets
        ]
        found = run_tasks(tasks, options.processes, clock)
    print(*table_lines(found), verdict(found), sep="\n")
    total = time.perf_counter() - begun
    print(f"{total:.0f} s with {options.processes} processes; processor seconds:", end=" ")
    print(", ".join(f"{work} {seconds:.0f}" for work, seconds in clock.seconds.items()))
    if options.out:
        facts: dict[str, object] = {
            "verdict": verdict(found),
            "largest_difference_from_timm": difference,
            "seconds": round(total, 1),
            "processes": options.processes,
            "processor_seconds": {work: round(value, 1) for work, value in clock.seconds.items()},
            "amounts": asdict(amounts),
            **_facts(sets, models),
        }
        cases: dict[str, dict[str, object]] = {
            f"{title}, {name}": {
                "trained": each.trained._asdict(),
                "random": [other._asdict() for other in each.random],
                "apart": each.apart,
            }
            for title, protocols in found.items()
            for name, each in protocols.items()
        }
        measure.write("transfer-real", {**cases, "facts": facts}, {}, options.out)


def _facts(sets: Mapping[str, DividedSet], models: Mapping[str, Trained]) -> dict[str, object]:
    """Returns what was compared."""
    return {
        "sets": {
            name: {
                "images": len(each.images),
                "judged": int((each.fold >= 0).sum()),
                "classes": len(each.images.classes),
                "folds": int(each.fold.max()) + 1,
                "images_of_batch_statistics": len(each.unjudged),
                "digest": each.images.digest,
            }
            for name, each in sets.items()
        },
        "models": {
            name: {"network": each.network, "digest": each.digest, "transform": asdict(each.transform or Transform())}
            for name, each in models.items()
        },
        "linear_grid": list(LINEAR_GRID),
        "fine_tuning": asdict(TUNING),
        "versions": library_versions(),
    }


if __name__ == "__main__":
    main()
