"""Tests which rows of a last layer are carried over to another vocabulary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.vocabulary import Label
from tagmill.training.trained.carried import carried_rows, plain_name
from tagmill.training.trained.labels import ModelLabel

NAMES, SYNSETS = st.sampled_from(["cat", "Cat", "big cat", "bigcat", "dog", "", "#"]), st.sampled_from("abcd")
NEW = st.lists(st.builds(lambda name, synsets: Label(0, name, tuple(synsets), ()), NAMES, st.sets(SYNSETS, min_size=1)))
OLD = st.lists(st.builds(lambda name, synsets: ModelLabel(name, tuple(synsets)), NAMES, st.sets(SYNSETS)))


def label(name: str, *synsets: str) -> Label:
    return Label(0, name, synsets, ())


@pytest.mark.parametrize(
    ("new", "old", "rows"),
    [
        ([label("cat", "n1")], [ModelLabel("dog", ("n2",)), ModelLabel("kitty", ("n1",))], [1]),
        ([label("crane", "n1", "n2")], [ModelLabel("crane", ("n2", "n1"))], [0]),
        ([label("crane", "n1")], [ModelLabel("crane", ("n2", "n1"))], [0]),  # by its name
        ([label("goldenretriever", "n1")], [ModelLabel("Golden Retriever")], [0]),
        ([label("cat", "n1")], [ModelLabel("cat"), ModelLabel("Cat")], [None]),  # of which one?
        ([label("cat", "n1")], [ModelLabel("x", ("n1",)), ModelLabel("y", ("n1",))], [None]),
        # A name does not take the row that another label has by its synsets.
        ([label("crane", "n1"), label("bird", "n2")], [ModelLabel("crane", ("n2",))], [None, 0]),
        ([label("bird", "n2"), label("crane", "n1")], [ModelLabel("crane", ("n2",))], [0, None]),
        ([label("cat", "n1")], [], [None]),
        ([], [ModelLabel("cat")], []),
    ],
)
def test_rows_follow_synsets_then_names(new: list[Label], old: list[ModelLabel], rows: list[int | None]) -> None:
    assert carried_rows(new, old) == rows


@given(NEW, OLD)
def test_a_row_has_the_synsets_or_the_name_of_its_label(new: list[Label], old: list[ModelLabel]) -> None:
    rows = carried_rows(new, old)
    assert len(rows) == len(new)
    by_name = list[int]()
    for one, row in zip(new, rows, strict=True):
        if row is None:
            assert [set(each.synsets) for each in old].count(set(one.synsets)) != 1
        elif set(one.synsets) != set(old[row].synsets):
            assert plain_name(one.name) == plain_name(old[row].name)
            by_name.append(row)
    assert len(by_name) == len(set(by_name)), "a row is taken by one name only"


@given(st.lists(st.builds(lambda name: ModelLabel(name), NAMES)))
def test_the_same_vocabulary_is_carried_whole(old: list[ModelLabel]) -> None:
    own = [ModelLabel(each.name, (str(row),)) for row, each in enumerate(old)]
    new = [Label(row, each.name, each.synsets, ()) for row, each in enumerate(own)]
    assert carried_rows(new, own) == list(range(len(own)))
