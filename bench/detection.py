"""Average precision over a pretrained network and over random ones of the same kind, on the drawn COCO set of the demo.

python bench/detection.py [--model SOURCE] [--folder DIR] [--detector KIND] [--seeds N] [--epochs N] [--lr RATE] [--processes N]
                          [--quick] [--out FILE.json]

The model is that of `make demo`. The set is small, for 15 minutes on two cores: 4 concepts, 240 images of 128 pixels to train
on, 80 to evaluate on, 3 epochs of 60 steps. A pair of runs shares its seed: the detector's own weights, the order of images
and which are mirrored. The interval of the mean difference is Student's over the pairs. Whatever comes out is printed. A run
whose loss is not finite is printed as diverged, and its pair is left out of the differences. At a rate of 0.02 a random network
diverged on one processor and not on another. A run that was stopped goes on.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from tagmill.bench import measure
from tagmill.demo.coco import make_coco
from tagmill.shards import Store, TagmillError
from tagmill.shards.progress.protocol import Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.training.trained.source import read_trained
from tagmill.transfer.detection.average_precision import AveragePrecision
from tagmill.transfer.detection.coco_set import CocoSet, open_coco
from tagmill.transfer.detection.detect_run import DetectorTask, run_detection
from tagmill.transfer.detection.detectors import ImageSides, Kind
from tagmill.transfer.outcome.over_seeds import paired_difference

SIDE, CONCEPTS = 128, 4
IMAGES, QUICK_IMAGES = (240, 80), (24, 8)  # to train on, to evaluate on
BATCH, WARMUP = 4, 30
SECONDS_FILE = "seconds.json"  # beside detection.json
PACKAGES = ("torch", "torchvision", "timm", "torchmetrics", "pycocotools")
FIGURES = ("ap", "ap50", "ap75")
ARMS = {"trained": False, "random": True}


@dataclass(frozen=True)
class DetectorRun:
    """One training and its evaluation. It names its files, so that another process can make it."""

    model: str
    coco: Path
    folder: Path
    task: DetectorTask

    @property
    def arm(self) -> str:
        return "random" if self.task.random else "trained"


@dataclass(frozen=True)
class RunFigures:
    """What a run gave, and the seconds of the call that ended it: less where it went on after a stop."""

    boxes: AveragePrecision
    seconds: float
    processor_seconds: float


def draw_set(folder: Path, train: int, val: int, processes: int) -> None:
    """Draws the COCO set, or finds it."""
    with progress_shown() as progress:
        make_coco(
            folder, seed=0, train=train, val=val, side=SIDE, concepts=CONCEPTS, processes=processes, progress=progress
        )


def open_part(folder: Path, part: str, masks: bool) -> CocoSet:
    """Opens a part of the drawn set: train or val."""
    return open_coco(f"{folder}/annotations/instances_{part}.json", f"{folder}/{part}", masks=masks)


def make_run(run: DetectorRun) -> RunFigures | None:
    """Trains and evaluates one detector on one thread, or continues what was stopped; returns None where it diverges. A run
    that has ended is evaluated again, and keeps its seconds."""
    torch.set_num_threads(1)
    start, processor = time.perf_counter(), time.process_time()
    train, val = (open_part(run.coco, part, run.task.detector == "mask-rcnn") for part in ("train", "val"))
    store = Store(str(run.folder / f"{run.task.detector}-{run.arm}-{run.task.seed}"))
    try:
        outcome = run_detection(read_trained(run.model), train, val, run.task, store, Silent(), save_every=40)
    except TagmillError as error:
        if "not finite" not in error.what:
            raise
        return None
    try:
        seconds = json.loads(store.read(SECONDS_FILE))
    except FileNotFoundError:
        seconds = [time.perf_counter() - start, time.process_time() - processor]
        store.put(SECONDS_FILE, json.dumps(seconds).encode())
    return RunFigures(outcome.boxes, *seconds)


def made_runs(runs: list[DetectorRun], processes: int) -> Iterator[tuple[DetectorRun, RunFigures | None]]:
    """Makes the runs in so many processes; prints each in order."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for run, found in zip(runs, pool.map(make_run, runs), strict=True):
            if found is None:
                print(f"seed {run.task.seed}  {run.arm:8} diverged", flush=True)
                yield run, None
                continue
            figures = f"AP {found.boxes.ap:.3f}  AP50 {found.boxes.ap50:.3f}  recall {found.boxes.recall:.3f}"
            seconds = f"{found.seconds:.0f} s, {found.processor_seconds:.0f} s of processor"
            print(f"seed {run.task.seed}  {run.arm:8} {figures}  {seconds}", flush=True)
            yield run, found


def compared(every: list[tuple[DetectorRun, RunFigures | None]]) -> dict[str, dict[str, object]]:
    """Returns the figures of both arms by seed, and their paired differences, which it prints too; without the seeds of
    which a run diverged."""
    diverged = [run for run, figures in every if figures is None]
    seeds = sorted({run.task.seed for run, _ in every} - {run.task.seed for run in diverged})
    found = [(run, figures) for run, figures in every if figures is not None and run.task.seed in seeds]
    cases: dict[str, dict[str, object]] = {
        arm: {"seeds": seeds, "diverged": [run.task.seed for run in diverged if run.arm == arm]} for arm in ARMS
    }
    differences = dict[str, object]()
    for name in FIGURES:
        values = {arm: [_figure(each, name) for run, each in found if run.arm == arm] for arm in ARMS}
        for arm in ARMS:
            cases[arm][name] = values[arm]
        found_here = paired_difference(values["trained"], values["random"])
        differences[name] = asdict(found_here)
        interval = "" if found_here.low is None else f", {found_here.low:+.3f} to {found_here.high:+.3f} at 95 %"
        means = ", ".join(f"{arm} {np.mean(values[arm]):.3f}" for arm in ARMS)
        print(f"{name}: {means}; difference {found_here.mean:+.3f}{interval} ({len(values['trained'])} pairs)")
    for arm in ARMS:
        for clock in ("seconds", "processor_seconds"):
            cases[arm][clock] = [round(getattr(each, clock), 1) for run, each in found if run.arm == arm]
    return {**cases, "trained - random": differences}


def _figure(found: RunFigures, name: str) -> float:
    value = getattr(found.boxes, name)
    if value is None:
        raise ValueError(f"no {name}: the set has no object to find")
    return float(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="out/demo/model", help="any source of a trained model")
    parser.add_argument("--folder", type=Path, default=Path("out/detection"), help="the drawn set, and the runs")
    parser.add_argument("--detector", choices=get_args(Kind), default="faster-rcnn")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="runs at a time")
    parser.add_argument("--quick", action="store_true", help="few images, one epoch: a test that it runs")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    start = time.perf_counter()
    images = QUICK_IMAGES if options.quick else IMAGES
    coco = options.folder / f"coco-{images[0]}"
    draw_set(coco, *images, options.processes)
    task = DetectorTask(
        detector=options.detector,
        weight="light",
        sides=ImageSides(SIDE, SIDE),
        batch=BATCH,
        epochs=1 if options.quick else options.epochs,
        rate=options.lr,
        warmup_steps=WARMUP,
    )
    folder = options.folder / ("quick" if options.quick else "runs")
    tasks = [replace(task, seed=seed, random=random) for seed in range(options.seeds) for random in ARMS.values()]
    runs = [DetectorRun(options.model, coco, folder, each) for each in tasks]
    cases = compared(list(made_runs(runs, options.processes)))
    if options.out:
        network = read_trained(options.model).network
        settings = {**asdict(task), "network": network, "train": images[0], "val": images[1], "concepts": CONCEPTS}
        del settings["seed"], settings["random"]
        cases["settings"] = {**settings, "processes": options.processes, "seconds": round(time.perf_counter() - start)}
        cases["versions"] = {name: version(name) for name in PACKAGES}
        measure.write(f"detection, {options.detector}", cases, {}, options.out)


if __name__ == "__main__":
    main()
