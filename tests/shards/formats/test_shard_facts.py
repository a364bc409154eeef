"""Tests that the facts of a shard are those of its index, labels and runs, row by row."""

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.formats.shard_facts import FACT, FACTS_ROWS, facts_dtype, first_row, make_facts, num_rows
from tagmill.shards.formats.shard_index import INDEX


def index_of(samples: int) -> npt.NDArray[Any]:
    """Returns INDEX records of random values."""
    draw = np.random.default_rng(samples)
    return np.frombuffer(draw.bytes(samples * INDEX.itemsize), INDEX)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=40), st.integers(1, 5))
def test_each_place_of_a_run_has_the_facts_of_its_sample(samples: list[tuple[int, bool]], max_labels: int) -> None:
    copies, has_fraction = np.array(samples, int).reshape(-1, 2).T
    index = index_of(len(samples))
    labels = np.random.default_rng(1).integers(-1, 9, (len(samples), max_labels)).astype(np.int32)
    runs = [np.flatnonzero(copies > copy) for copy in range(int(copies.max(initial=0)))]
    fractions, counts = np.flatnonzero(has_fraction), [len(run) for run in runs]
    facts = make_facts(index, labels, runs, fractions)
    if facts is None:
        assert num_rows(counts, len(fractions)) > FACTS_ROWS * len(samples)
        return
    assert facts.dtype == facts_dtype(max_labels) and len(facts) == num_rows(counts, len(fractions))
    for copy, ordinals in enumerate([*runs, fractions]):
        first = first_row(counts, copy)
        rows = facts[first : first + len(ordinals)]
        assert rows["ordinal"].tolist() == ordinals.tolist()
        assert rows["labels"].tolist() == labels[ordinals].tolist()
        for name in INDEX.names or ():
            assert rows[name].tolist() == index[name][ordinals].tolist()


def test_equal_runs_are_written_once() -> None:
    run = np.arange(3)
    facts = make_facts(index_of(3), np.zeros((3, 1), np.int32), [run, run, run[1:], run[1:]], run[:0])
    assert facts is not None and facts["ordinal"].tolist() == [0, 1, 2, 1, 2]
    assert [first_row([3, 3, 2, 2], copy) for copy in range(5)] == [0, 0, 3, 3, 5]


def test_a_shard_of_many_copies_has_no_facts() -> None:
    """Each run lacks one sample of the one before it: ten samples, 55 rows."""
    runs = [np.arange(copy, 10) for copy in range(10)]
    assert make_facts(index_of(10), np.zeros((10, 1), np.int32), runs, runs[0][:0]) is None
    assert make_facts(index_of(10), np.zeros((10, 1), np.int32), runs[:4], runs[0][:6]) is not None
    assert make_facts(index_of(10), np.zeros((10, 1), np.int32), runs[:4], runs[0][:7]) is None


def test_the_layout_is_fixed() -> None:
    """Readers of every version compute offsets in the file from it."""
    assert FACT.names == ("ordinal", *(INDEX.names or ())) and FACT.itemsize == 40
    assert facts_dtype(16).itemsize == 104 and facts_dtype(16)["labels"].shape == (16,)
    facts = make_facts(index_of(2), np.array([[7, -1], [3, 4]], np.int32), [np.array([1])], np.array([0]))
    assert facts is not None
    second = (
        (1).to_bytes(4, "little") + index_of(2)[1].tobytes() + (3).to_bytes(4, "little") + (4).to_bytes(4, "little")
    )
    assert facts.tobytes()[:48] == second
