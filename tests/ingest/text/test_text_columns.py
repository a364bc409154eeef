"""Columns of bytes, of percent-encoded text and of other types become text."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.text.text_columns import to_text


@given(st.lists(st.none() | st.binary(max_size=8), max_size=8))
def test_any_bytes_become_text(made: list[bytes | None]) -> None:
    for kind in (pa.binary(), pa.large_binary()):
        found = to_text(pa.array(made, kind))
        found.validate(full=True)
        assert found.to_pylist() == [None if one is None else one.decode("utf-8", "replace") for one in made]


@given(st.lists(st.none() | st.text(alphabet="%2Fcé+\x00F", max_size=8), max_size=8))
def test_any_encoding_is_decoded(made: list[str | None]) -> None:
    found = to_text(pa.array(made, pa.string()), encoded=True)
    found.validate(full=True)
    assert [one is None for one in found.to_pylist()] == [one is None for one in made]


def test_encoded_text() -> None:
    assert to_text(pa.array(["caf%C3%A9+au%20lait", "100%", "%ff"]), encoded=True).to_pylist() == [
        "café au lait",
        "100%",
        "\ufffd",
    ]


def test_numbers_that_are_none_are_no_text() -> None:
    assert to_text(pa.array([float("nan"), 2.5])).to_pylist() == [None, "2.5"]
