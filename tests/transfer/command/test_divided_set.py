"""Parts of a set: nothing in both, groups whole, and the same at every reading."""

import pytest

from tagmill.shards import InputError
from tagmill.transfer.command.divided_set import divided
from tests.transfer.drawn_set import drawn_set


def test_a_divided_set_has_each_image_once_and_groups_in_one_part() -> None:
    made = drawn_set(3, 20, group=4)
    train, test = divided(made)
    keys = [{each.key for each in part.examples} for part in (train, test)]
    assert not keys[0] & keys[1] and keys[0] | keys[1] == {each.key for each in made.examples}
    assert not {each.group for each in train.examples} & {each.group for each in test.examples}
    assert train.digest != test.digest and divided(made)[0].digest == train.digest
    images = {each.key: image for each, image in zip(made.examples, made.images, strict=True)}
    assert test.read(range(len(test))) == [images[each.key] for each in test.examples]


def test_one_image_cannot_be_divided() -> None:
    with pytest.raises(InputError):
        divided(drawn_set(1, 1))
