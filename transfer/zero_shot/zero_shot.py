"""The protocol: classes of images by a model that has seen hashtags only."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tagmill.shards import TagmillError
from tagmill.training.trained.labels import ModelLabel
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.right_classes import true_pairs, with_right_classes
from tagmill.transfer.probes.probe_input import best_classes
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.single_label import single_labels
from tagmill.transfer.zero_shot.calibration import MOST_ENTRIES, Calibration, calibrate, no_calibration
from tagmill.transfer.zero_shot.class_map import ClassLabels
from tagmill.transfer.zero_shot.class_scores import SCORES, class_scores
from tagmill.transfer.zero_shot.logits import LabelModel


@dataclass(frozen=True)
class ZeroShot:
    """Outcomes of one model on one set: sum, mean and max, without and with calibration."""

    outcomes: tuple[Outcome, ...]
    mapped: tuple[ClassLabels, ...]  # [classes]
    calibration: Calibration

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Names of the classes without a label, all of whose images are errors."""
        return unlabelled_classes(self.outcomes[0], self.mapped)


def unlabelled_classes(outcome: Outcome, mapped: Sequence[ClassLabels]) -> tuple[str, ...]:
    """Returns the names of the classes without a label of the model."""
    return tuple(each.name for each, found in zip(outcome.classes, mapped, strict=True) if not found.labels)


def covered_rows(outcome: Outcome, mapped: Sequence[ClassLabels]) -> Outcome:
    """Returns the outcome on the images of which a right class has a label."""
    with_label = np.array([bool(each.labels) for each in mapped])
    rows, classes = true_pairs(outcome)
    covered = np.zeros(len(outcome.keys), np.bool_)
    covered[rows[with_label[classes]]] = True
    return replace(
        outcome,
        keys=outcome.keys[covered],
        truth=outcome.truth[covered],
        top=outcome.top[covered],
        settings={**outcome.settings, "classes": "with a label only"},
        groups=None if outcome.groups is None else outcome.groups[covered],
        accepted=None if outcome.accepted is None else outcome.accepted[covered],
    )


def calibration_of(
    model: LabelModel,
    unlabelled: LabelledSet,
    tags: Mapping[int, int] | None,
    most: int = 5_000,
    temperature: float | None = None,
) -> Calibration:
    """Calibrates a model on images of a set: biases on all of them, and the temperature on those with tags.

    `tags`: labels of the model by the set's classes; None: the set's labels are not the model's, and are not looked at. At most
    `most` images are used, spread evenly over the set, and fewer where their outputs would take more than 512 MiB.
    """
    most = min(most, MOST_ENTRIES // len(model.labels), len(unlabelled))
    places = np.unique(np.linspace(0, len(unlabelled) - 1, most).round().astype(np.int64)).tolist() if most else []
    skipped = Counter[str]()
    table = model.table(unlabelled, places, skipped)
    own = [[] if tags is None else _tags(unlabelled.examples[place].labels, tags) for place in table.places.tolist()]
    tagged = any(own) and temperature is None
    made = calibrate(table.values, table.values if tagged else None, own, temperature)
    facts = {"calibrated_on": unlabelled.name, "calibration_set": unlabelled.digest, "calibration_skipped": +skipped}
    return Calibration(made.temperature, made.biases, {**made.facts, **facts})


def label_places(classes: Sequence[frozenset[str]], labels: Sequence[ModelLabel]) -> dict[int, int]:
    """Returns the label with the same synsets for each class that has one; `classes`: the synsets of each."""
    by_synsets = {frozenset(label.synsets): row for row, label in enumerate(labels) if label.synsets}
    return {place: by_synsets[synsets] for place, synsets in enumerate(classes) if synsets in by_synsets}


def zero_shot(
    model: LabelModel,
    test: LabelledSet,
    mapped: Sequence[ClassLabels],
    calibration: Calibration | None,
    left_out: Mapping[str, int] | None = None,
) -> ZeroShot:
    """Predicts the classes of all images with one label, or, of a set of `with_any_label`, with several, any of which is right.
    Other images with none or several are counted as skipped, with those `left_out` before. Raises InputError
    for a set without images of one label, and TagmillError where none of them can be decoded."""
    single = single_labels(test)
    places, skipped = single.places.tolist(), Counter(single.skipped) + Counter(left_out or {})
    ways = [no_calibration(len(model.labels)), *([calibration] if calibration else [])]
    found: list[np.ndarray] = []
    top: dict[tuple[int, str], list[np.ndarray]] = {(way, score): [] for way in range(len(ways)) for score in SCORES}
    for block in model.blocks(test, places, skipped):
        found.append(block.places)
        for number, way in enumerate(ways):
            shares = way.log_shares(block.values)
            for score in SCORES:
                top[number, score].append(best_classes(class_scores(shares, mapped, score)))
    rows = np.concatenate(found)
    if not len(rows):
        what = f"none of {len(places):,} images gave outputs: {dict(+skipped)}"
        raise TagmillError(what, test.where, "check some of them by hand")
    examples = [test.examples[row] for row in rows.tolist()]
    lists = {how: sum(each.how == how for each in mapped) for how in ("synset", "name", "path", "none")}
    outcomes = tuple(
        Outcome(
            "zero-shot",
            model.where,
            test.name,
            test.classes,
            np.array([example.key for example in examples], np.str_),
            np.array([example.labels[0] for example in examples], np.int64),
            np.concatenate(top[number, score]),
            {"score": score, **way.facts, "classes_by": lists, "model_digest": model.digest, "set_digest": test.digest},
            dict(+skipped),
            np.array([example.group or example.key for example in examples], np.str_),
        )
        for number, way in enumerate(ways)
        for score in SCORES
    )
    outcomes = tuple(with_right_classes(each, test) for each in outcomes)
    return ZeroShot(outcomes, tuple(mapped), calibration or ways[0])


def _tags(labels: Sequence[int], tags: Mapping[int, int]) -> list[int]:
    return [tags[label] for label in labels if label in tags]
