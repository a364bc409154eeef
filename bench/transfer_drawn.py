"""Whether a network that learnt from hashtags tells concepts apart whose hashtags it never saw, on the drawn world of the demo.

python bench/transfer_drawn.py [--corpus CORPUS] [--folder FOLDER] [--seeds N] [--images N] [--processes N] [--out FILE.json]

Eight of the demo's concepts, every fourth, are stopped: a view of the corpus has none of their words and plurals as tags. On it
a network is trained for each seed. It is judged on the images whose only label in the default view is one of the nine that the
eight concepts have (#donut and #doughnut are two): five images of each label are learnt from, by the few-shot ridge. None of
these images is in the training view. Beside it is a random network of the same seed with calibrated batch statistics. The
verdict is that of Student's interval of the mean difference over the seeds, which covers other networks, but not other images.

The corpus is one of `python -m tagmill.demo --rows 12000 --holdout 1500 --output out/drawn`, to which the view is added. A run
that was stopped goes on.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean

import torch

from tagmill.bench import measure
from tagmill.demo.concepts import CONCEPTS
from tagmill.demo.run import RECIPE, DemoConfig
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards import Corpus, Store, TagmillError, View
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.progress.shown import progress_shown
from tagmill.train import load_recipe, train
from tagmill.training.trained.model import Trained
from tagmill.training.trained.source import read_trained
from tagmill.transfer.features.backbone import open_backbone
from tagmill.transfer.features.extract import Sharing, extract
from tagmill.transfer.features.random_network import random_network
from tagmill.transfer.outcome.intervals import LEVEL
from tagmill.transfer.outcome.over_seeds import PairedDifference, paired_difference
from tagmill.transfer.probes.few_shot import SHOT_SEEDS, few_shot
from tagmill.transfer.probes.probe_input import ProbeInput
from tagmill.transfer.report.report_facts import library_versions
from tagmill.transfer.sets.chosen_set import choose
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.open_set import open_set
from tagmill.transfer.sets.splits import divide_set
from tagmill.transfer.sets.stored_images import check_set

STOPPED = CONCEPTS[3::4]
SYNSETS = frozenset(concept.synset for concept in STOPPED)
VIEW = "stopped"
SHOTS = 5
PARTS = (1, 1)  # of the images: a half to draw the shots from, the other to judge on
LEAST_IMAGES = 600  # to judge on
ARMS = ("trained", "random")


def make_stopped_view(corpus: str, folder: Path) -> None:
    """Adds the view without the eight concepts to a corpus, or finds it. Raises TagmillError for a view that has them."""
    if VIEW not in Corpus.open(corpus).file.views:
        listed = folder / "stopped.txt"
        words = {word for concept in STOPPED for word in (*concept.words, *concept.plurals)}
        listed.write_text("".join(f"{word.replace(' ', '')}\n" for word in sorted(words)))
        with progress_shown() as progress:
            view(ViewConfig(corpus=corpus, name=VIEW, min_count=DemoConfig.min_count, stop=str(listed)), progress)
    labels = View.open(Corpus.open(corpus), VIEW).vocabulary.labels
    if left := [label.name for label in labels if SYNSETS.intersection(label.synsets)]:
        raise TagmillError(f"view {VIEW} has labels of stopped concepts: {left}", corpus, "give another corpus")


def stopped_images(corpus: str) -> LabelledSet:
    """Returns the training images whose only label in the default view is one of the stopped concepts', with these labels as
    classes. Raises TagmillError where the stopped view trains on one, or there are none."""
    whole = open_set(f"corpus:{corpus}#default", "train")
    labels = View.open(Corpus.open(corpus), "default").vocabulary.labels
    class_of = {
        label.id: place for place, label in enumerate(each for each in labels if SYNSETS.intersection(each.synsets))
    }
    places = [
        place
        for place, example in enumerate(whole.examples)
        if len(example.labels) == 1 and example.labels[0] in class_of
    ]
    chosen = choose(whole, places, "stopped concepts")
    learnt = {example.key for example in open_set(f"corpus:{corpus}#{VIEW}", "train").examples if example.labels}
    if seen := sum(example.key in learnt for example in chosen.examples):
        raise TagmillError(f"{seen:,} images to judge on have labels in view {VIEW}", corpus, "give another corpus")
    classes = tuple(whole.classes[label] for label in class_of)
    examples = tuple(each._replace(labels=(class_of[each.labels[0]],)) for each in chosen.examples)
    check_set(classes, examples, corpus)
    digest = sha256_hex(f"{chosen.digest} {classes}".encode())
    return replace(chosen, classes=classes, examples=examples, digest=digest)


@dataclass(frozen=True)
class Learnt:
    """A training run that came to its end."""

    folder: str
    accuracies: dict[str, float]  # on the held-out images of its own view
    seconds: float  # of its steps, in all calls together


def train_on_view(corpus: str, folder: str, seed: int, images: int) -> Learnt:
    """Trains the demo's recipe on the stopped view with one thread, or goes on. Raises TagmillError where a signal ends it."""
    torch.set_num_threads(1)
    recipe = load_recipe(RECIPE)
    found = train(replace(recipe, corpus=corpus, view=VIEW, output=folder, seed=seed, epochs=None, images=images))
    if "stopped" in found:
        raise TagmillError("a signal ended the training", folder, "run it again: it goes on from there")
    own = {name: float(found[name]) for name in ("top1", "mean_class_accuracy", "majority", "chance")}
    lines = map(json.loads, Store(folder).read("metrics.jsonl").splitlines())
    return Learnt(folder, own, round(sum(line["seconds"] for line in lines), 1))


def train_all(corpus: str, folder: Path, seeds: int, images: int, processes: int) -> list[Learnt]:
    """Trains a network for each seed, `processes` at a time: a network as small as this gains little from more threads."""
    tasks = [(corpus, str(folder / f"model-{images}-{seed}"), seed, images) for seed in range(seeds)]
    if processes == 1:
        return [train_on_view(*task) for task in tasks]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        runs = [pool.submit(train_on_view, *task) for task in tasks]
        try:
            return [run.result() for run in runs]
        except BaseException:
            pool.shutdown(cancel_futures=True)  # no further network is begun
            raise


def five_shot(trained: Trained, images: LabelledSet, kept: Store) -> tuple[list[float], int]:
    """Returns the accuracy with each draw of five images a class, and the number of images that it is of. `kept`: for
    features."""
    backbone = open_backbone(trained)
    with progress_shown() as progress:
        learn, judge = (
            extract(backbone, choose(images, part.tolist(), name), Sharing(kept), progress=progress)
            for part, name in zip(divide_set(images, PARTS), ("to learn from", "to judge on"), strict=True)
        )
    data = ProbeInput(trained.where, images.name, learn, judge)
    outcomes = [few_shot(data, SHOTS, draw) for draw in SHOT_SEEDS]
    return [float((each.top[:, 0] == each.truth).mean()) for each in outcomes], len(judge)


def verdict_of(difference: PairedDifference, images: int) -> str:
    """Returns what the interval says, in words."""
    if images < LEAST_IMAGES:
        return f"none: {images:,} images to judge on, fewer than {LEAST_IMAGES}"
    if difference.low is None or difference.high is None:
        return "none: one pair has no interval"
    if difference.low > 0:
        return "trained above random"
    return "trained below random" if difference.high < 0 else "no difference shown"


def compare(corpus: str, folder: Path, seeds: int, images: int, processes: int) -> dict[str, dict[str, object]]:
    """Trains, judges both networks of each seed, prints, and returns the cases of the result."""
    seconds = measure.Seconds()
    seconds.of("view", partial(make_stopped_view, corpus, folder))
    learnt, judged = open_set(f"corpus:{corpus}#{VIEW}", "train"), stopped_images(corpus)
    found: dict[str, list[list[float]]] = {arm: [] for arm in ARMS}
    runs = seconds.of("training in this call", partial(train_all, corpus, folder, seeds, images, processes))
    seconds.parts["training, all calls"] = [run.seconds for run in runs]
    count, kept = 0, Store(str(folder / "features"))
    for seed, run in enumerate(runs):
        trained = read_trained(run.folder)
        random = seconds.of("batch statistics", partial(random_network, trained, seed, learnt))
        for arm, network in zip(ARMS, (trained, random), strict=True):
            shares, count = seconds.of("features and few-shot", partial(five_shot, network, judged, kept))
            found[arm].append(shares)
            print(f"seed {seed}  {arm:8} {SHOTS}-shot {mean(shares):.3f} of {count:,} images", flush=True)
    means = {arm: [mean(shares) for shares in found[arm]] for arm in ARMS}
    difference = paired_difference(means["trained"], means["random"])
    verdict = verdict_of(difference, count)
    print(f"trained - random {difference.mean:+.3f} ({difference.low} to {difference.high}), {seeds} pairs: {verdict}")
    for part, each in seconds.parts.items():
        print(f"{part}: {sum(each):.0f} s")
    settings = {
        "unit": "",
        "stopped": [concept.name for concept in STOPPED],
        "classes": [each.name for each in judged.classes],
        "images_to_train_on": sum(bool(example.labels) for example in learnt.examples),
        "images_seen_in_training": images,
        "images_to_judge_on": count,
        "shots": SHOTS,
        "draws_of_shots": len(SHOT_SEEDS),
        "processes": processes,
        "level": LEVEL,
        "versions": library_versions(),
    }
    return {
        "settings": settings,
        "held-out images of the training view": {"unit": "share right", "by_seed": [run.accuracies for run in runs]},
        **{arm: {"unit": "share right", "mean": mean(means[arm]), "by_seed_and_draw": found[arm]} for arm in ARMS},
        "trained - random": {
            "unit": "share right",
            **vars(difference),
            "by_seed": [ours - theirs for ours, theirs in zip(means["trained"], means["random"], strict=True)],
        },
        "verdict": {"unit": "", "text": verdict, "chance": 1 / len(judged.classes)},
        "seconds": {"unit": "s", **seconds.parts},
    }


def main(words: list[str] | None = None) -> None:
    """Prints and writes accuracies, their difference and the verdict."""
    parser = argparse.ArgumentParser(description="Compare trained and random networks on concepts without hashtags.")
    parser.add_argument("--corpus", default=str(measure.ROOT / "out/drawn/corpus"))
    parser.add_argument("--folder", type=Path, default=measure.ROOT / "out/drawn/transfer", help="models and features")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=20_000, help="images that each network sees in training")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--processes", type=int, default=cores, help="networks that are trained at a time")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    asked = parser.parse_args(words)
    asked.folder.mkdir(parents=True, exist_ok=True)
    try:
        cases = compare(asked.corpus, asked.folder, asked.seeds, asked.images, asked.processes)
    except TagmillError as error:
        sys.exit(f"transfer-drawn: {error}")
    if asked.out is not None:
        measure.write("transfer-drawn", cases, {}, asked.out)


if __name__ == "__main__":
    main()
