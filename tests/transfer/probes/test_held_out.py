"""Tests that groups stay whole and classes keep their share."""

import numpy as np
from hypothesis import given as examples
from hypothesis import strategies as st

from tagmill.transfer.probes.held_out import held_out_rows
from tests.transfer.probes.tables import table

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=60)


@examples(ROWS, st.integers(0, 4), st.sampled_from([0.1, 0.3, 0.5]))
def test_no_group_is_divided_and_the_order_does_not_matter(
    rows: list[tuple[int, int]], seed: int, share: float
) -> None:
    labels, groups = [row[0] for row in rows], [f"group {row[1]}" for row in rows]
    held = held_out_rows(table(np.zeros((len(rows), 1)), labels, 4, groups), share, seed)
    sides = {group: {bool(side) for side, own in zip(held, groups, strict=True) if own == group} for group in groups}
    assert all(len(found) == 1 for found in sides.values())
    assert not held.all()
    turned = held_out_rows(table(np.zeros((len(rows), 1)), labels[::-1], 4, groups[::-1]), share, seed)
    assert turned[::-1].tolist() == held.tolist()


@examples(st.lists(st.integers(0, 3), min_size=4, max_size=200), st.integers(0, 4), st.sampled_from([0.1, 0.2, 0.5]))
def test_each_class_gives_its_share_to_half_an_image(labels: list[int], seed: int, share: float) -> None:
    held = held_out_rows(table(np.zeros((len(labels), 1)), labels, 4), share, seed)
    for place in set(labels):
        mine = np.array(labels) == place
        wanted = min(share * mine.sum(), mine.sum() - 1)
        assert abs(held[mine].sum() - wanted) <= 0.5


def test_another_seed_holds_others_out() -> None:
    found = table(np.zeros((100, 1)), [place % 2 for place in range(100)], 2)
    assert held_out_rows(found, 0.2, 0).tolist() != held_out_rows(found, 0.2, 1).tolist()
