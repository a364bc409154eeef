"""Columns of any type become text, tags and hashtags; encoded text is decoded after it is split."""

from urllib.parse import quote_plus

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.sources.columns import (
    drop_empty_words,
    empty_tags,
    simple_type,
    to_extra,
    to_tags,
    with_hashtags,
    with_nouns,
)

BLANK = "".join(c for c in map(chr, range(0x3001)) if c.isspace())


@given(st.lists(st.none() | st.lists(st.text(max_size=6), max_size=4), max_size=8))
def test_encoded_tags_may_hold_the_separator(made: list[list[str] | None]) -> None:
    joined = [None if row is None else ",".join(map(quote_plus, row)) for row in made]
    found = to_tags(pa.array(joined, pa.string()), ",", encoded=True)
    found.validate(full=True)
    wanted = [[tag.strip(BLANK) for tag in row or ()] for row in made]
    assert [[t.strip(BLANK) for t in row] for row in found.to_pylist()] == [[t for t in row if t] for row in wanted]


@pytest.mark.parametrize(
    ("kind", "simple"),
    [
        *[(pa.int8(), pa.int64()), (pa.uint32(), pa.int64()), (pa.float16(), pa.float64()), (pa.bool_(), pa.bool_())],
        *[(pa.large_string(), pa.string()), (pa.date32(), pa.string()), (pa.decimal128(9, 2), pa.string())],
    ],
)
def test_simple_types(kind: pa.DataType, simple: pa.DataType) -> None:
    assert simple_type(kind) == simple


def test_numbers_that_json_lacks_are_null() -> None:
    column = pa.array([1.5, float("inf"), float("nan"), None], pa.float32())
    assert to_extra(column, pa.float64()).to_pylist() == [1.5, None, None, None]
    assert to_extra(pa.array(["a+b"]), pa.string(), encoded=True).to_pylist() == ["a b"]


def test_hashtags_follow_the_tags() -> None:
    captions = pa.array(["see #cat+%23dog", None, "none"]).dictionary_encode()
    before = pa.array([["x", "y"], ["z"], []], pa.list_(pa.string()))
    assert with_hashtags(before, captions).to_pylist() == [["x", "y", "cat"], ["z"], []]
    assert with_hashtags(empty_tags(3), captions, encoded=True).to_pylist() == [["cat", "dog"], [], []]
    assert empty_tags(0).type == before.type


def test_nouns_follow_and_are_not_repeated() -> None:
    captions = pa.array(["two hot dogs, a cat", None, "a+lamp"]).dictionary_encode()
    before = pa.array([["cat"], ["z"], []])
    assert with_nouns(before, captions).to_pylist() == [["cat", "hot dog"], ["z"], ["lamp"]]
    assert with_nouns(empty_tags(3), captions, encoded=True).to_pylist() == [["hot dog", "cat"], [], ["lamp"]]


def test_a_cell_without_a_value_has_no_tags() -> None:
    cells = pa.array(["cat", "nan", "None", None, " null ", "<NA>", "[]", "#nan", "nan,cat"])
    assert to_tags(cells, ",").to_pylist() == [["cat"], *[[]] * 6, ["#nan"], ["nan", "cat"]]
    assert to_tags(cells.slice(1, 2), ",").to_pylist() == [[], []]
    for kind in (pa.float16(), pa.float32(), pa.float64()):
        assert to_tags(pa.array(np.full(2, np.nan), pa.float64()).cast(kind), ",").to_pylist() == [[], []]
    floats = pa.array([[float("nan"), 1.5], None, [float("inf")]], pa.list_(pa.float32()))
    assert to_tags(floats, ",").to_pylist() == [["1.5"], [], []]
    assert drop_empty_words(pa.array(["CC0", "nan", None, "None ", "none"])).to_pylist() == [
        "CC0",
        None,
        None,
        None,
        "none",
    ]


def test_tags_that_are_several() -> None:
    cells = ["#cat #dog", "x", "#cat#dog", "['cat' 'dog']", "['cat, dog']", "cat，dog", None, "a,b"]
    wanted = [["cat", "dog"], ["x"], ["cat", "dog"], ["cat", "dog"], ["cat, dog"], ["cat", "dog"], [], ["a", "b"]]
    for array in (pa.array(cells), pa.array(["no", *cells]).slice(1), pa.array(cells).dictionary_encode()):
        found = to_tags(array, ",")
        found.validate(full=True)
        assert found.to_pylist() == wanted
    assert to_tags(pa.array([["#cat #dog", "#x"], ["#C#", None]]), ",").to_pylist() == [["cat", "dog", "#x"], ["#C#"]]


def test_objects_and_lists_in_lists() -> None:
    named = pa.array([[{"id": 1, "name": "cat"}, {"id": 2, "name": None}], None, [{"id": 3, "name": "#dog"}]])
    assert to_tags(named, ",").to_pylist() == [["cat"], [], ["#dog"]]
    assert to_tags(named.slice(2), ",").to_pylist() == [["#dog"]]
    deep = pa.array([[["a", "b"], ["c"]], [], [None, ["d"]]], pa.list_(pa.large_list(pa.string())))
    assert to_tags(deep, ",").to_pylist() == [["a", "b", "c"], [], ["d"]]
    with pytest.raises(pa.ArrowException, match="objects of x, none of which names a tag"):
        to_tags(pa.array([[{"x": 1}]]), ",")


def plain_tags(array: pa.Array, separator: str) -> list[list[str]]:
    """The rule of ordinary cells: split, trimmed, blanks dropped."""
    return [
        [tag for tag in (t.strip(BLANK) for t in (cell or "").split(separator)) if tag] for cell in array.to_pylist()
    ]


@given(st.lists(st.none() | st.text("abc ,#[]üé犬\n'1", max_size=12), max_size=8))
def test_ordinary_cells_keep_their_tags(cells: list[str | None]) -> None:
    ordinary = [cell for cell in cells if not cell or (cell.count("#") < 2 and "[" not in cell)]
    array = pa.array(ordinary, pa.string())
    assert to_tags(array, ",").to_pylist() == plain_tags(array, ",")
