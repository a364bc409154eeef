"""Tests of the whole protocol on a network of random weights: what is predicted, counted and said."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tagmill.shards import ConfigError, InputError, TagmillError
from tagmill.transfer.outcome.figures import figures_of
from tagmill.transfer.sets.any_label import with_any_label
from tagmill.transfer.sets.labelled_set import Example, SetClass
from tagmill.transfer.zero_shot.class_map import ClassLabels, map_classes
from tagmill.transfer.zero_shot.logits import LabelModel
from tagmill.transfer.zero_shot.zero_shot import calibration_of, covered_rows, label_places, zero_shot
from tests.training.trained.models import LABELS, trained
from tests.transfer.drawn_set import DrawnSet, drawn_from, drawn_set

ONE = trained("test_vit", 32)
CLASSES = (SetClass("bear", "n02131653"), SetClass("crane"), SetClass("book", "n02870526"))


def judged(images: DrawnSet) -> DrawnSet:
    return drawn_from(images.images, images.examples, CLASSES, "judged")


def test_predictions_are_those_of_the_calibrated_outputs() -> None:
    test, other = judged(drawn_set(3, 4)), drawn_set(4, 10, seed=1)
    mapped = map_classes(CLASSES, LABELS)
    assert mapped[:2] == (ClassLabels((0,), "synset"), ClassLabels((1, 2), "synset")) and not mapped[2].labels
    model = LabelModel(ONE, threads=1)
    made = calibration_of(model, other, {place: place for place in range(4)})
    found = zero_shot(model, test, mapped, made)
    logits = model.table(test, range(12), Counter()).values
    shares = {False: np.exp(logits), True: np.exp(logits / made.temperature + made.biases)}
    assert [(each.settings["calibrated"], each.settings["score"]) for each in found.outcomes] == [
        (calibrated, score) for calibrated in (False, True) for score in ("sum", "mean", "max")
    ]
    for each in found.outcomes:
        own = shares[bool(each.settings["calibrated"])]
        pair = {"sum": own[:, 1:3].sum(1), "mean": own[:, 1:3].mean(1), "max": own[:, 1:3].max(1)}
        bear = own[:, 0] > pair[str(each.settings["score"])]
        np.testing.assert_array_equal(each.top, np.where(bear[:, None], [[0, 1, -1]], [[1, 0, -1]]))
        assert each.truth.tolist() == [0, 1, 2] * 4 and each.skipped == {}
    assert made.facts["tagged_images"] == 40 and made.facts["calibrated_on"] == "drawn"


def test_classes_without_a_label_are_named_and_counted_apart() -> None:
    model = LabelModel(ONE, threads=1)
    found = zero_shot(model, judged(drawn_set(3, 4)), map_classes(CLASSES, LABELS), None)
    assert found.uncovered == ("book",) and len(found.outcomes) == 3
    whole = found.outcomes[0]
    apart = covered_rows(whole, found.mapped)
    assert (len(whole.keys), len(apart.keys)) == (12, 8) and 2 not in apart.truth
    assert not (whole.top == 2).any() and apart.keys.tolist() == [key for key in whole.keys if int(key[2:]) % 3 < 2]


def test_images_that_cannot_be_judged_are_counted() -> None:
    images = drawn_set(3, 4, undecodable=[0], missing=[1])
    examples = [*images.examples[:10], Example("none", ()), Example("two", (0, 1))]
    model = LabelModel(ONE, threads=1)
    mapped = map_classes(CLASSES, LABELS)
    (found, *_) = zero_shot(model, drawn_from(images.images, examples, CLASSES), mapped, None).outcomes
    assert len(found.keys) == 8 and sum(found.skipped.values()) == 4
    assert found.skipped["no_label"] == found.skipped["several_labels"] == 1
    with pytest.raises(InputError, match="no image has exactly one label"):
        zero_shot(model, drawn_from(images.images[:1], examples[-1:], CLASSES), mapped, None)
    with pytest.raises(TagmillError, match="none of 2 images gave outputs"):
        zero_shot(model, drawn_from(images.images[:2], examples[:2], CLASSES), mapped, None)


def test_any_of_several_labels_is_right_and_images_without_are_counted() -> None:
    images = drawn_set(3, 4)
    labels = [(0,), (1, 2), (), (0, 2), (2,), (0, 1, 2), (1,), (2,), (1, 2), (0,), (), (0, 1)]
    examples = [each._replace(labels=own) for each, own in zip(images.examples, labels, strict=True)]
    whole = drawn_from(images.images, examples, CLASSES)
    model, mapped = LabelModel(ONE, threads=1), map_classes(CLASSES, LABELS)
    some, left_out = with_any_label(whole)
    found = zero_shot(model, some, mapped, None, left_out).outcomes[0]
    assert found.skipped == {"no_label": 2} and len(found.keys) == 10
    kept = {example.key: example.labels for example in examples if example.labels}
    right = [first in kept[key] for key, first in zip(found.keys.tolist(), found.top[:, 0].tolist(), strict=True)]
    assert figures_of(found).right == sum(right)
    assert found.accepted is not None and found.accepted[4].tolist() == [0, 1, 2]
    apart = covered_rows(found, mapped)  # of "book" alone no image can be right
    assert apart.keys.tolist() == [key for key in found.keys.tolist() if kept[key] != (2,)]
    assert apart.accepted is not None and len(apart.accepted) == 8 and figures_of(apart).right == sum(right)
    one = zero_shot(model, whole, mapped, None).outcomes[0]
    assert one.skipped == {"no_label": 2, "several_labels": 5} and one.accepted is None


def test_calibration_uses_no_more_images_than_asked_spread_over_the_set() -> None:
    images = drawn_set(2, 50)
    model = LabelModel(ONE, threads=1)
    made = calibration_of(model, images, None, most=7, temperature=2.0)
    with pytest.raises(ConfigError, match="no image to calibrate on"):
        calibration_of(model, drawn_set(0, 0), None)
    assert made.facts["unlabelled_images"] == 7 and made.temperature == 2.0 and made.facts["tagged_images"] == 0


def test_labels_of_a_view_are_those_of_the_model_with_the_same_synsets() -> None:
    shuffled = [frozenset(LABELS[row].synsets) for row in (2, 0)]
    assert label_places([*shuffled, frozenset({"n00001740"})], LABELS) == {0: 2, 1: 0}
    assert label_places(shuffled, [replace(LABELS[0], synsets=())]) == {}
