"""Parts of sets: nothing in both, and other parts have other digests."""

from dataclasses import replace

import pytest

from tagmill.shards import InputError
from tagmill.transfer.command.set_part import divided, part_of, with_one_class
from tests.transfer.drawn_set import drawn_from, drawn_set


def test_a_divided_set_has_each_image_once_and_groups_in_one_part() -> None:
    made = drawn_set(3, 20, group=4)
    train, test = divided(made)
    keys = [{each.key for each in part.examples} for part in (train, test)]
    assert not keys[0] & keys[1] and keys[0] | keys[1] == {each.key for each in made.examples}
    assert not {each.group for each in train.examples} & {each.group for each in test.examples}
    assert train.digest != test.digest and divided(made)[0].digest == train.digest
    images = {each.key: image for each, image in zip(made.examples, made.images, strict=True)}
    assert test.read(range(len(test))) == [images[each.key] for each in test.examples]


def test_images_of_other_than_one_class_are_left_out_and_counted() -> None:
    made = drawn_set(3, 4)
    assert with_one_class(made) == (made, {})
    labels = [(0, 1), (), *[each.labels for each in made.examples[2:]]]
    examples = [each._replace(labels=some) for each, some in zip(made.examples, labels, strict=True)]
    kept, left_out = with_one_class(drawn_from(made.images, examples, made.classes))
    assert len(kept) == 10 and left_out == {"several_labels": 1, "no_label": 1}
    with pytest.raises(InputError, match="no image"):
        with_one_class(drawn_from(made.images[:2], examples[:2], made.classes))


def test_the_digest_is_of_the_whole_set_and_the_places() -> None:
    made = drawn_set(2, 4)
    other = replace(made, digest="0" * 64)
    digests = {part_of(whole, places, "a").digest for whole in (made, other) for places in ([0, 1], [1, 2], [1, 0])}
    assert len(digests) == 6
