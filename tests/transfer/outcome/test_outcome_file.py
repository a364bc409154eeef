"""An outcome is read as it was written, and other bytes are refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards import InputError, TagmillError
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.outcome_file import outcome_bytes, read_outcome
from tests.transfer.outcome.made import made_outcome, random_outcome


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    classes, images = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    ranks = st.permutations(range(classes)).map(lambda order: order[:5])
    groups = st.none() | st.lists(st.text(st.characters(codec="utf-8"), max_size=3), min_size=images, max_size=images)
    return made_outcome(
        draw(st.lists(st.integers(0, classes - 1), min_size=images, max_size=images)),
        draw(st.lists(ranks, min_size=images, max_size=images)),
        classes,
        draw(groups),
        [f"{place}é" for place in range(images)],
        {"l2": 0.5, "swept": [1, 2], "why": {"a": None}},
    )


def assert_equal(left: Outcome, right: Outcome) -> None:
    assert (left.protocol, left.model, left.set, left.classes) == (
        right.protocol,
        right.model,
        right.set,
        right.classes,
    )
    assert left.settings == right.settings and left.skipped == right.skipped
    for name in ("keys", "truth", "top"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name
    assert (left.groups is None) == (right.groups is None)
    assert left.groups is None or right.groups is None or left.groups.tolist() == right.groups.tolist()


@settings(max_examples=30)
@given(outcomes())
def test_it_is_read_as_it_was_written(outcome: Outcome) -> None:
    data = outcome_bytes(outcome)
    found = read_outcome(data, "file")
    assert_equal(found, outcome)
    assert outcome_bytes(found) == data


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_cut_bytes_are_refused(cut: int) -> None:
    with pytest.raises(InputError, match="not an outcome"):
        read_outcome(outcome_bytes(random_outcome(20, 6, 0.5))[:cut], "file")


def test_another_table_and_a_later_format_are_refused() -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"key": ["a"]}), sink)
    with pytest.raises(InputError, match="not an outcome"):
        read_outcome(bytes(sink.getvalue()), "file")
    table = pq.read_table(pa.BufferReader(outcome_bytes(random_outcome(20, 6, 0.5))))
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({b"tagmill.outcome": b'{"format": 2}'}), sink)
    with pytest.raises(InputError, match="format 2"):
        read_outcome(bytes(sink.getvalue()), "file")


def test_settings_that_are_not_finite_are_not_written() -> None:
    with pytest.raises(TagmillError, match=r"settings\.l2"):
        outcome_bytes(made_outcome([0], [[0]], 2, settings={"l2": float("nan")}))
