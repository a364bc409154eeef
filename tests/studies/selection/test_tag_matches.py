"""Images with a matching tag: which labels match a class, and random numbers that depend on seed and sample alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards import ConfigError, Corpus, View
from tagmill.studies.selection.chosen_rows import SCORED
from tagmill.studies.selection.tag_matches import label_matches, tag_matches
from tests.ingest.tagged import Tagged, make
from tests.studies.selection.scored import SETS

TAGS = [["dog", "oak"], ["cat"], ["brownbear"], ["table"], []]
sets = st.lists(
    st.sets(st.sampled_from("abcd"), min_size=1).map(lambda own: tuple(sorted(own))), max_size=5, unique=True
)


@given(sets, sets)
def test_a_label_matches_its_equal_or_all_that_share_a_synset(
    labels: list[tuple[str, ...]], classes: list[tuple[str, ...]]
) -> None:
    starts, places = label_matches(labels, classes)
    for number, label in enumerate(labels):
        found = places[starts[number] : starts[number + 1]].tolist()
        shared = [place for place, own in enumerate(classes) if set(own) & set(label)]
        assert found == ([classes.index(label)] if label in classes else shared)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Tagged:
    made = make(tmp_path_factory.mktemp("corpus"), [TAGS, TAGS], [TAGS])
    view(ViewConfig(corpus=made.corpus.store.url, name="default", rule="all", processes=1))
    view(ViewConfig(corpus=made.corpus.store.url, name="noisy", noise=0.5, processes=1))
    return made


def rows(made: Tagged, name: str, classes: list[tuple[str, ...]], seed: int) -> list[tuple[str, int, int]]:
    corpus = Corpus.open(made.corpus.store.url)
    table = tag_matches(corpus, View.open(corpus, name), classes, seed)
    assert table.schema == SCORED
    return [tuple(row.values()) for item in table.items for batch in table.make(item) for row in batch.to_pylist()]


def test_images_of_the_train_split_have_a_random_number_for_each_class_that_a_tag_matches(made: Tagged) -> None:
    classes = [SETS[3], SETS[0], SETS[2]]  # cat, dog, oak
    found = rows(made, "default", classes, 5)
    keys = made.keys
    assert [(key, place) for key, place, _ in found] == [
        (keys[0], 1), (keys[0], 2), (keys[1], 0), (keys[5], 1), (keys[5], 2), (keys[6], 0),
    ]  # fmt: skip
    assert all(0 <= number < 1 << 16 for _, _, number in found) and len({number for _, _, number in found}) > 3
    assert found == rows(made, "default", classes, 5) != rows(made, "default", classes, 6)


def test_views_whose_labels_are_not_the_tags_are_refused(made: Tagged) -> None:
    with pytest.raises(ConfigError, match="have noise"):
        rows(made, "noisy", list(SETS), 0)
    with pytest.raises(ConfigError, match="matches a class"):
        rows(made, "default", [("n00000001",)], 0)


def test_numbers_are_uniform(made: Tagged) -> None:
    numbers = [row[2] for seed in range(40) for row in rows(made, "default", [SETS[0], SETS[2]], seed)]
    assert 0.4 < np.mean(numbers) / (1 << 16) < 0.6
