"""Equal values are equal bytes, and no number that is not finite is written."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards import TagmillError
from tagmill.transfer.outcome.canonical import canonical_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(values)
def test_json_reads_back_and_the_order_of_names_is_no_matter(value: object) -> None:
    assert json.loads(canonical_json(value)) == value
    assert canonical_json({"b": 1, "a": value}) == canonical_json({"a": value, "b": 1})


def test_numpy_numbers_and_tuples_are_plain() -> None:
    value = {"a": np.float64(0.5), "b": np.arange(2), "c": (True, np.bool_(False)), 3: np.str_("x")}
    assert canonical_json(value) == b'{"3": "x", "a": 0.5, "b": [0, 1], "c": [true, false]}\n'


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), np.float32("nan"), object(), b"bytes", {1, 2}])
def test_other_values_are_errors_that_name_their_place(bad: object) -> None:
    with pytest.raises(TagmillError, match=r"a\.b\[1\]"):
        canonical_json({"a": {"b": [0, bad]}})
