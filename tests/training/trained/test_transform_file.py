"""Tests the file of an image transform."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import IntegrityError
from tagmill.training.trained.model import Transform
from tagmill.training.trained.transform_file import parse_transform, transform_json

THREE = st.tuples(*[st.floats(1, 255)] * 3)


@given(st.builds(Transform, st.integers(1, 1000), st.floats(0.1, 1), THREE, THREE, st.booleans()))
def test_a_transform_reads_back(transform: Transform) -> None:
    assert parse_transform(transform_json(transform), "here") == transform


@pytest.mark.parametrize(
    "changed", [{"share": 0}, {"share": 1.5}, {"size": 0}, {"std": [1, 0, 1]}, {"mean": [1, 2]}, {"size": None}]
)
def test_other_values_are_refused(changed: dict[str, object]) -> None:
    found = json.loads(transform_json(Transform()))
    with pytest.raises(IntegrityError, match=r"not an image transform.*\(here\)"):
        parse_transform(json.dumps({**found, **changed}).encode(), "here")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 10_000])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_transform(data, "here")
