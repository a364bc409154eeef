"""Images with exactly one label."""

import pytest

from tagmill.shards import InputError
from tagmill.transfer.sets.labelled_set import Example, SetClass
from tagmill.transfer.sets.single_label import single_labels, with_one_label
from tests.transfer.drawn_set import DrawnSet


def made(*labels: tuple[int, ...]) -> DrawnSet:
    examples = [Example(f"key {n}", each) for n, each in enumerate(labels)]
    return DrawnSet("made", "here", (SetClass("a"), SetClass("b")), examples, "0" * 64, (None,) * len(labels))


def test_the_others_are_counted_by_reason() -> None:
    found = single_labels(made((1,), (), (0, 1), (0,), ()))
    assert found.places.tolist() == [0, 3] and found.labels.tolist() == [1, 0]
    assert found.skipped == {"no_label": 2, "several_labels": 1}


def test_several_labels_are_an_error_on_request() -> None:
    with pytest.raises(InputError, match=r"an image of 2 labels, where one is needed \(here, key 1\)"):
        single_labels(made((1,), (0, 1)), "error")
    assert single_labels(made((1,), ()), "error").skipped == {"no_label": 1}


def test_a_set_without_single_labels_is_an_error() -> None:
    with pytest.raises(InputError, match="no image has exactly one label"):
        single_labels(made((0, 1), ()))


def test_images_without_one_label_are_left_out_and_counted() -> None:
    whole = made((1,), (), (0, 1), (0,), ())
    found, skipped = with_one_label(whole)
    assert [example.key for example in found.examples] == ["key 0", "key 3"] and found.name == "made"
    assert skipped == {"no_label": 2, "several_labels": 1}
    single = made((1,), (0,))
    assert with_one_label(single) == (single, {})
