"""Which shards are read depends on their names alone."""

from hypothesis import given
from hypothesis import strategies as st

from tagmill.browse.report.shard_choice import choose

names = st.lists(st.text(st.sampled_from("abc012"), min_size=1, max_size=6), unique=True, max_size=40)


@given(names, st.integers(0, 50), st.randoms())
def test_the_same_names_are_chosen_in_any_order(some: list[str], most: int, draw: object) -> None:
    found = choose(some, most)
    assert len(found) == min(most, len(some)) and found == sorted(set(found))
    turned = sorted(some, reverse=True)
    assert {turned[place] for place in choose(turned, most)} == {some[place] for place in found}


@given(names, st.integers(1, 30))
def test_more_names_never_bring_back_one_that_was_left_out(some: list[str], most: int) -> None:
    before = {some[place] for place in choose(some, most)}
    more = [*some, "another"]
    assert {more[place] for place in choose(more, most)} <= before | {"another"}
