"""Average precision over a pretrained network and over random ones of the same kind, on the drawn COCO set of the demo.

python bench/detection.py [--model SOURCE] [--folder DIR] [--detector KIND] [--seeds N] [--epochs N] [--quick] [--out FILE.json]

The model is that of `make demo`. A pair of runs shares its seed: the detector's own weights, the order of images and which are
mirrored. The interval of the mean difference is Student's over the pairs. Whatever comes out is printed. A run that was
stopped goes on.
"""

import argparse
import os
import time
from pathlib import Path
from typing import get_args

import torch

from tagmill.bench import measure
from tagmill.bench.paired import paired_difference
from tagmill.demo.coco import make_coco
from tagmill.shards import Store
from tagmill.shards.progress.shown import progress_shown
from tagmill.training.trained.model import Trained
from tagmill.training.trained.source import read_trained
from tagmill.transfer.detection.average_precision import AveragePrecision
from tagmill.transfer.detection.coco_set import CocoSet, open_coco
from tagmill.transfer.detection.detect_run import DetectorTask, run_detection
from tagmill.transfer.detection.detectors import ImageSides, Kind

SIDE = 128
FIGURES = ("ap", "ap50", "ap75")
ARMS = {"trained": False, "random": True}


def drawn_sets(folder: Path, train: int, val: int, masks: bool) -> tuple[CocoSet, CocoSet]:
    """Draws the COCO set, or finds it, and opens its parts."""
    with progress_shown() as progress:
        make_coco(folder, seed=0, train=train, val=val, side=SIDE, processes=os.cpu_count() or 1, progress=progress)
    parts = (
        open_coco(f"{folder}/annotations/instances_{part}.json", f"{folder}/{part}", masks=masks)
        for part in ("train", "val")
    )
    first, second = parts
    return first, second


def run_pairs(
    trained: Trained, sets: tuple[CocoSet, CocoSet], task: DetectorTask, seeds: int, folder: Path
) -> dict[str, list[AveragePrecision]]:
    """Trains and evaluates both arms for each seed; prints each run as it ends."""
    found: dict[str, list[AveragePrecision]] = {arm: [] for arm in ARMS}
    for seed in range(seeds):
        for arm, random in ARMS.items():
            start = time.perf_counter()
            own = DetectorTask(**{**vars(task), "seed": seed, "random": random})
            store = Store(str(folder / f"{task.detector}-{arm}-{seed}"))
            with progress_shown() as progress:
                outcome = run_detection(trained, *sets, own, store, progress, save_every=50)
            found[arm].append(outcome.boxes)
            seconds = time.perf_counter() - start
            print(f"seed {seed}  {arm:8} AP {outcome.boxes.ap:.3f}  AP50 {outcome.boxes.ap50:.3f}  {seconds:.0f} s")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="out/demo/model", help="any source of a trained model")
    parser.add_argument("--folder", type=Path, default=Path("out/detection"), help="the drawn set, and the runs")
    parser.add_argument("--detector", choices=get_args(Kind), default="faster-rcnn")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--quick", action="store_true", help="few images, one epoch: a test that it runs")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    images = (24, 8) if options.quick else (600, 200)
    sets = drawn_sets(options.folder / f"coco-{images[0]}", *images, masks=options.detector == "mask-rcnn")
    task = DetectorTask(
        detector=options.detector,
        weight="light",
        sides=ImageSides(SIDE, SIDE),
        batch=8,
        epochs=1 if options.quick else options.epochs,
        rate=options.lr,
        warmup_steps=100,
    )
    runs = options.folder / ("quick" if options.quick else "runs")
    found = run_pairs(read_trained(options.model), sets, task, options.seeds, runs)
    cases: dict[str, dict[str, object]] = {arm: {} for arm in (*ARMS, "trained - random")}
    for name in FIGURES:
        values = {arm: [float(getattr(each, name) or 0.0) for each in found[arm]] for arm in ARMS}
        difference = paired_difference(values["trained"], values["random"])
        cases |= {arm: {**cases[arm], name: values[arm]} for arm in ARMS}
        cases["trained - random"][name] = vars(difference)
        interval = "" if difference.low is None else f", {difference.low:+.3f} to {difference.high:+.3f} at 95 %"
        print(f"{name.upper()}: trained - random {difference.mean:+.3f}{interval} ({options.seeds} pairs)")
    if options.out:
        measure.write(f"detection, {options.detector}", cases, {}, options.out)


if __name__ == "__main__":
    main()
