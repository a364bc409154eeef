"""Columns of any type become text, tags and hashtags; what is encoded is decoded after it is split."""

from urllib.parse import quote_plus

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.columns import extra, no_tags, simple_type, tags, text, with_hashtags

BLANK = "".join(c for c in map(chr, range(0x3001)) if c.isspace())


@given(st.lists(st.none() | st.lists(st.text(max_size=6), max_size=4), max_size=8))
def test_encoded_tags_may_hold_the_separator(made: list[list[str] | None]) -> None:
    joined = [None if row is None else ",".join(map(quote_plus, row)) for row in made]
    found = tags(pa.array(joined, pa.string()), ",", encoded=True)
    found.validate(full=True)
    wanted = [[tag.strip(BLANK) for tag in row or ()] for row in made]
    assert [[t.strip(BLANK) for t in row] for row in found.to_pylist()] == [[t for t in row if t] for row in wanted]


@given(st.lists(st.none() | st.binary(max_size=8), max_size=8))
def test_any_bytes_become_text(made: list[bytes | None]) -> None:
    for kind in (pa.binary(), pa.large_binary()):
        found = text(pa.array(made, kind))
        found.validate(full=True)
        assert found.to_pylist() == [None if one is None else one.decode("utf-8", "replace") for one in made]


@given(st.lists(st.none() | st.text(alphabet="%2Fcé+\x00F", max_size=8), max_size=8))
def test_any_encoding_is_decoded(made: list[str | None]) -> None:
    found = text(pa.array(made, pa.string()), encoded=True)
    found.validate(full=True)
    assert [one is None for one in found.to_pylist()] == [one is None for one in made]


def test_encoded_text() -> None:
    assert text(pa.array(["caf%C3%A9+au%20lait", "100%", "%ff"]), encoded=True).to_pylist() == [
        "café au lait",
        "100%",
        "\ufffd",
    ]


@pytest.mark.parametrize(
    ("kind", "simple"),
    [
        *[(pa.int8(), pa.int64()), (pa.uint32(), pa.int64()), (pa.float16(), pa.float64()), (pa.bool_(), pa.bool_())],
        *[(pa.large_string(), pa.string()), (pa.date32(), pa.string()), (pa.decimal128(9, 2), pa.string())],
    ],
)
def test_simple_types(kind: pa.DataType, simple: pa.DataType) -> None:
    assert simple_type(kind) == simple


def test_numbers_that_json_has_not_are_null() -> None:
    column = pa.array([1.5, float("inf"), float("nan"), None], pa.float32())
    assert extra(column, pa.float64()).to_pylist() == [1.5, None, None, None]
    assert extra(pa.array(["a+b"]), pa.string(), encoded=True).to_pylist() == ["a b"]


def test_hashtags_stand_behind_the_tags() -> None:
    captions = pa.array(["see #cat+%23dog", None, "none"]).dictionary_encode()
    before = pa.array([["x", "y"], ["z"], []], pa.list_(pa.string()))
    assert with_hashtags(before, captions).to_pylist() == [["x", "y", "cat"], ["z"], []]
    assert with_hashtags(no_tags(3), captions, encoded=True).to_pylist() == [["cat", "dog"], [], []]
    assert no_tags(0).type == before.type
