"""Judges the demo's model, which has seen tags of drawn images only, on emoji of the same concepts, without any training.

python bench/zero_shot_emoji.py [--model MODEL] [--corpus CORPUS] [--data FOLDER] [--permutations N] [--out FILE.json]

The concepts of the demo that have an emoji are the classes: 29 of them, 42 emoji, each drawn by two makers, which are counted
apart. The p-value permutes which concept is which class, so that it is about the meaning of the labels: a model that tells the
emoji apart but names them wrongly has none. Outputs are calibrated on the demo's own images.

`make demo` makes model and corpus, `make transfer-data` brings the emoji; without them the program says so and ends.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagmill.bench.measure import ROOT, Seconds, write
from tagmill.demo.concepts import CONCEPTS
from tagmill.shards import Corpus, View
from tagmill.training.trained.source import read_trained
from tagmill.transfer.outcome.figures import figures_of
from tagmill.transfer.outcome.intervals import wilson_estimate
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.report.report_facts import library_versions
from tagmill.transfer.sets.labelled_set import Example, LabelledSet, SetClass
from tagmill.transfer.sets.open_set import open_set
from tagmill.transfer.zero_shot.class_map import map_classes
from tagmill.transfer.zero_shot.logits import LabelModel
from tagmill.transfer.zero_shot.zero_shot import calibration_of, label_places, zero_shot

LEVEL = 0.05
MAKERS = ("google", "twitter")
EMOJI = {
    "car": ("1f697", "1f698", "1f699", "1f693", "1f694"),
    "pizza": ("1f355",),
    "butterfly": ("1f98b",),
    "icecream": ("1f366", "1f368"),
    "bicycle": ("1f6b2",),
    "sunflower": ("1f33b",),
    "sailboat": ("26f5",),
    "strawberry": ("1f353",),
    "apple": ("1f34e", "1f34f"),
    "owl": ("1f989",),
    "cupcake": ("1f9c1",),
    "guitar": ("1f3b8",),
    "banana": ("1f34c",),
    "donut": ("1f369",),
    "mushroom": ("1f344",),
    "ladybug": ("1f41e",),
    "cactus": ("1f335",),
    "penguin": ("1f427",),
    "pumpkin": ("1f383",),
    "umbrella": ("2602-fe0f", "2614", "26f1-fe0f", "1f302"),
    "clock": ("23f0", "1f570-fe0f", "1f550"),
    "goldfish": ("1f420",),
    "snowman": ("2603-fe0f", "26c4"),
    "teapot": ("1fad6",),
    "rocket": ("1f680",),
    "watermelon": ("1f349",),
    "turtle": ("1f422",),
    "trafficlight": ("1f6a5", "1f6a6"),
    "crab": ("1f980",),
}


@dataclass(frozen=True)
class EmojiSet(LabelledSet):
    """The emoji of the demo's concepts; keys are MAKER/CODE.png, below the folder of the emoji."""

    def read(self, places: Sequence[int]) -> list[bytes | None]:
        files = [Path(self.where, self.examples[place].key) for place in places]
        return [file.read_bytes() if file.exists() else None for file in files]


def emoji_set(folder: Path) -> EmojiSet:
    """Returns the emoji below a folder that `make transfer-data` made."""
    by_name = {concept.name: concept for concept in CONCEPTS}
    classes = tuple(SetClass(name, by_name[name].synset) for name in EMOJI)
    examples = tuple(
        Example(f"{maker}/{code}.png", (place,), code)
        for maker in MAKERS
        for place, codes in enumerate(EMOJI.values())
        for code in codes
    )
    return EmojiSet(
        "emoji", str(folder), classes, examples, hashlib.sha256(repr((classes, examples)).encode()).hexdigest()
    )


def permutation_p(
    truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int, number: int, seed: int = 0
) -> float:
    """Returns the share of permutations of the map of labels to classes, the true one included, with at least as many right
    predictions. `predicted`: -1 for none."""
    table = np.zeros((classes, classes), np.int64)
    known = predicted >= 0
    np.add.at(table, (predicted[known], truth[known]), 1)
    chance, rows = np.random.default_rng(seed), np.arange(classes)
    least = int(np.trace(table))
    reached = sum(int(table[rows, chance.permutation(classes)].sum()) >= least for _ in range(number))
    return (1 + reached) / (1 + number)


def judged(outcome: Outcome, permutations: int) -> dict[str, dict[str, Any]]:
    """Returns accuracy, its Wilson interval and the p-value, of all images and of each maker's."""
    found = {}
    for maker in ("both makers", *MAKERS):
        rows = np.array([maker == "both makers" or key.startswith(f"{maker}/") for key in outcome.keys.tolist()])
        truth, best = outcome.truth[rows], outcome.top[rows]
        right = int((best[:, 0] == truth).sum())
        top5 = int((best == truth[:, None]).any(axis=1).sum())
        p = permutation_p(truth, best[:, 0], len(outcome.classes), permutations)
        interval = wilson_estimate(right, len(truth))
        if maker == "both makers":  # two images of one emoji are no two draws
            interval = figures_of(outcome).top1
        found[maker] = {
            "unit": "share right",
            "images": len(truth),
            "right": right,
            "top5": top5 / len(truth),
            "p": p,
            **interval._asdict(),
        }
    return found


def compare(source: str, corpus: str, folder: Path, permutations: int) -> dict[str, dict[str, Any]]:
    """Judges a model on the emoji in a folder, prints, and returns the cases of the result. `corpus`: whose held-out images it
    is calibrated on."""
    seconds = Seconds()
    model, images = LabelModel(read_trained(source)), emoji_set(folder)
    vocabulary = View.open(Corpus.open(corpus), "default").vocabulary
    tags = label_places([frozenset(label.synsets) for label in vocabulary.labels], model.labels)
    held_out = open_set(f"corpus:{corpus}", "holdout")
    calibration = seconds.of("calibration", lambda: calibration_of(model, held_out, tags))
    mapped = map_classes(images.classes, model.labels)
    found = seconds.of("emoji", lambda: zero_shot(model, images, mapped, calibration))
    cases: dict[str, dict[str, Any]] = {}
    for outcome in found.outcomes:
        way = f"{'calibrated' if outcome.settings['calibrated'] else 'as they are'}, {outcome.settings['score']}"
        own = seconds.of("permutations", partial(judged, outcome, permutations))
        for maker, facts in own.items():
            cases[f"{way}, {maker}"] = facts
            shares = f"{facts['value']:.3f} ({facts['low']:.3f} to {facts['high']:.3f}), top-5 {facts['top5']:.3f}"
            print(f"{way}, {maker:12} {facts['right']:3} of {facts['images']}: {shares}, p {facts['p']:.4f}")
    print(f"classes without a label: {', '.join(found.uncovered) or 'none'}; chance {1 / len(images.classes):.3f}")
    verdict = verdict_of([facts["p"] for facts in cases.values()])
    print(f"{verdict}; seconds: {seconds.parts}")
    settings = {
        "unit": "",
        "permutations": permutations,
        "model_digest": model.digest,
        "labels": len(model.labels),
        "without_a_label": list(found.uncovered),
        "skipped": dict(found.outcomes[0].skipped),
        "chance": 1 / len(images.classes),
        "versions": library_versions(),
        **found.calibration.facts,
    }
    return {
        "settings": settings,
        **cases,
        "verdict": {"unit": "", "text": verdict},
        "seconds": {"unit": "s", **seconds.parts},
    }


def verdict_of(found: Sequence[float]) -> str:
    """Returns what p-values of several ways to judge one model say, in words; Bonferroni's correction for their number."""
    largest = min(1.0, len(found) * max(found))
    said = "labels mean their concepts" if largest <= LEVEL else "not every way shows that labels mean their concepts"
    return f"{said}: the largest p of {len(found)}, times their number, is {largest:.4f}"


def main(words: list[str] | None = None) -> None:
    """Prints and writes accuracies and p-values."""
    parser = argparse.ArgumentParser(description="Judge the demo's model on emoji, without any training.")
    parser.add_argument("--model", default=str(ROOT / "out/demo/model"))
    parser.add_argument("--corpus", default=str(ROOT / "out/demo/corpus"))
    parser.add_argument("--data", type=Path, default=ROOT / "out/transfer-data")
    parser.add_argument("--permutations", type=int, default=10_000)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    asked = parser.parse_args(words)
    for path, remedy in ((Path(asked.model), "make demo"), (asked.data / "emoji", "make transfer-data")):
        if not path.exists():
            sys.exit(f"skipped: no {path}; run {remedy} first")
    cases = compare(asked.model, asked.corpus, asked.data / "emoji", asked.permutations)
    if asked.out is not None:
        write("zero-shot-emoji", cases, {}, asked.out)


if __name__ == "__main__":
    main()
