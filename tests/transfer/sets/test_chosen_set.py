"""Parts of sets as sets, and other groups."""

import numpy as np
import pytest

from tagmill.shards import ConfigError, InputError
from tagmill.transfer.sets.chosen_set import choose, with_groups
from tagmill.transfer.sets.splits import divide_set
from tests.transfer.drawn_set import drawn_set


def test_a_chosen_set_has_the_images_and_the_labels_of_its_places() -> None:
    whole = drawn_set(3, 4, missing=[5])
    part = choose(whole, [7, 5, 0], "part")
    assert part.name == "drawn part" and part.classes == whole.classes
    assert [*part.examples] == [whole.examples[place] for place in (7, 5, 0)]
    assert part.read([2, 1, 0]) == whole.read([0, 5, 7])
    assert choose(part, [2], "of it").read([0]) == whole.read([0])


def test_the_digest_is_that_of_the_set_and_the_places() -> None:
    whole, other = drawn_set(2, 4), drawn_set(2, 4, seed=1)
    digests = [
        choose(whole, [0, 1], "a"),
        choose(whole, [1, 0], "a"),
        choose(other, [0, 1], "a"),
        choose(whole, [0], "a"),
    ]
    assert len({each.digest for each in digests} | {whole.digest}) == 5
    assert choose(whole, np.array([0, 1]), "b").digest == digests[0].digest  # type: ignore[arg-type]


@pytest.mark.parametrize("places", [[12], [-1], [3, 3]])
def test_places_that_are_none_are_refused(places: list[int]) -> None:
    with pytest.raises(ConfigError, match="places from"):
        choose(drawn_set(3, 4), places)


def test_groups_are_kept_together_by_a_split() -> None:
    whole = drawn_set(2, 20)
    grouped = with_groups(whole, [f"{place // 8}" for place in range(40)])
    assert grouped.read([3, 39]) == whole.read([3, 39]) and grouped.digest != whole.digest
    for part in divide_set(grouped, [3, 2]):
        assert {place // 8 for place in part.tolist()} & {
            place // 8 for place in range(40) if place not in part.tolist()
        } == set()
    with pytest.raises(InputError, match="39 groups of 40 images"):
        with_groups(whole, ["a"] * 39)
