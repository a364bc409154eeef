"""Real sets that `make transfer-data` brings, divided: emoji by subgroup, and digits of MNIST."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagmill.transfer.features.feature_table import FeatureTable
from tagmill.transfer.probes.probe_input import ProbeInput
from tagmill.transfer.sets.chosen_set import choose
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.open_set import open_set
from tagmill.transfer.sets.splits import divide, k_folds

SUBGROUPS = (
    *("animal-bird", "animal-bug", "animal-mammal", "animal-marine", "clothing", "drink", "food-asian", "food-fruit"),
    *("food-prepared", "food-vegetable", "musical-instrument", "place-building", "sport", "tool", "transport-ground"),
)
FOLDS = 5


@dataclass(frozen=True, eq=False)
class DividedSet:
    """A set, and which of its images are judged by what is learned from the others."""

    name: str
    images: LabelledSet  # n
    fold: npt.NDArray[np.int64]  # [n], from 0; -1: never judged
    unjudged: LabelledSet  # for batch statistics

    def parts(self, table: FeatureTable, model: str) -> Iterator[ProbeInput]:
        """Yields the features to learn from and to judge on, of each fold."""
        fold = dict(zip((each.key for each in self.images.examples), self.fold.tolist(), strict=True))
        of_row = np.array([fold[key] for key in table.keys.tolist()])
        for number in range(int(self.fold.max()) + 1):
            yield ProbeInput(model, self.name, table.take(of_row != number), table.take(of_row == number))

    def first_fold(self) -> tuple[LabelledSet, LabelledSet]:
        """Returns the images to learn from and to judge on of the first fold."""
        train, test = np.flatnonzero(self.fold != 0).tolist(), np.flatnonzero(self.fold == 0).tolist()
        return choose(self.images, train, "train"), choose(self.images, test, "test")


def emoji_by_subgroup(table: Path, subgroups: Sequence[str], count: int) -> DividedSet:
    """Returns the emoji of some subgroups in folds. Batch statistics are those of other emoji, flags of countries aside."""
    whole = open_set(str(table))
    names = [whole.classes[each.labels[0]].name for each in whole.examples]
    chosen = [place for place, name in enumerate(names) if name in subgroups]
    others = [place for place, name in enumerate(names) if name not in subgroups and name != "country-flag"]
    images = choose(whole, chosen, f"{len(subgroups)} subgroups")
    # No class without images: they would be a part of every network's last layer.
    kept = sorted({each.labels[0] for each in images.examples})
    numbers = {label: number for number, label in enumerate(kept)}
    examples = tuple(each._replace(labels=(numbers[each.labels[0]],)) for each in images.examples)
    classes = tuple(whole.classes[label] for label in kept)
    digest = sha256(f"{images.digest} {[each.name for each in classes]}".encode()).hexdigest()
    images = replace(images, classes=classes, examples=examples, digest=digest)
    return DividedSet("emoji", images, _folds(images), _spread(whole, others, count))


def digits(file: Path, parts: Sequence[int], count: int) -> DividedSet:
    """Returns MNIST in three parts: learned from, judged, and the rest, which batch statistics take images of too."""
    whole = open_set(str(file))
    part = divide(
        [each.key for each in whole.examples], [each.labels[0] for each in whole.examples], [""] * len(whole), parts
    )
    train, test, rest = (np.flatnonzero(part == number).tolist() for number in range(3))
    images = choose(whole, [*train, *test], "train and test")
    fold = np.repeat(np.array([-1, 0]), [len(train), len(test)])
    unjudged = choose(whole, [*train, *rest][:count], "statistics")
    return DividedSet("MNIST", images, fold, unjudged)


def _folds(images: LabelledSet) -> npt.NDArray[np.int64]:
    examples = images.examples
    return k_folds(
        [each.key for each in examples], [each.labels[0] for each in examples], [each.group for each in examples], FOLDS
    )


def _spread(whole: LabelledSet, places: Sequence[int], count: int) -> LabelledSet:
    step = max(len(places) / count, 1.0)
    return choose(whole, [places[int(number * step)] for number in range(min(count, len(places)))], "statistics")
