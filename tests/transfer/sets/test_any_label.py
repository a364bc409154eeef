"""Images of several labels are kept with all of them, and images without any are counted."""

from dataclasses import replace

import pytest

from tagmill.shards import InputError
from tagmill.transfer.sets.any_label import AnyLabelSet, with_any_label
from tagmill.transfer.sets.skip_reasons import NO_LABEL
from tests.transfer.drawn_set import DrawnSet, drawn_set


def labelled(*labels: tuple[int, ...]) -> DrawnSet:
    made = drawn_set(3, 2)
    examples = tuple(each._replace(labels=own) for each, own in zip(made.examples, labels, strict=False))
    return replace(made, examples=examples, images=made.images[: len(examples)])


def test_images_with_labels_are_kept_with_all_of_them() -> None:
    whole = labelled((1,), (), (0, 2), (2,))
    found, left_out = with_any_label(whole)
    assert isinstance(found, AnyLabelSet) and left_out == {NO_LABEL: 1}
    assert [each.labels for each in found.examples] == [(1,), (0,), (2,)]
    assert [*found.right] == [(1,), (0, 2), (2,)]
    assert found.read([1, 0]) == [whole.images[2], whole.images[0]]
    assert found.digest not in (whole.digest, with_any_label(replace(whole, digest="f" * 64))[0].digest)


def test_a_set_without_an_image_of_several_labels_is_as_every_protocol_takes_it() -> None:
    single = drawn_set(3, 2)
    assert with_any_label(single) == (single, {})
    found, left_out = with_any_label(labelled((1,), ()))
    assert not isinstance(found, AnyLabelSet) and len(found) == 1 and left_out == {NO_LABEL: 1}
    with pytest.raises(InputError):
        with_any_label(labelled((), ()))
