"""Tags as text: lists that pandas, numpy, JSON and Python write are parsed, and everything else stays text."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.text.tag_text import EMPTY_WORDS, list_text, needs_parsing, plain_tags, split, unescaped, values

tag = st.text(st.characters(codec="utf-8"), max_size=8)
some = st.lists(tag, max_size=5)


@given(some)
def test_lists_written_as_text_are_read_as_they_were(tags: list[str]) -> None:
    for written in (repr(tags), json.dumps(tags), json.dumps(tags, ensure_ascii=False), repr(tuple(tags))):
        assert list_text(written) == tags


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), max_size=5))
def test_arrays_of_numpy_written_as_text_are_read_as_they_were(tags: list[str]) -> None:
    array = np.array(tags, object)
    assert list_text(str(array)) == list_text(repr(array)) == tags
    assert list_text(repr(list(np.array(tags, str)))) == [str(each) for each in np.array(tags, str)]


@given(some)
def test_objects_are_their_names(tags: list[str]) -> None:
    objects = [{"id": n, "name": each, "on": None, "share": 0.5} for n, each in enumerate(tags)]
    for written in (repr(objects), json.dumps(objects)):
        assert list_text(written) == tags
    assert values(objects, ",") == tags


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        *[(word, []) for word in [*sorted(EMPTY_WORDS), " nan\n", "[]", "()", "{}", "set()", "[nan]", "[None, null]"]],
        ("#nan", ["#nan"]),  # what a person wrote
        ("nan,bread", ["nan", "bread"]),
        ("none", ["none"]),
        ("['cat' 'dog']", ["cat", "dog"]),
        ("['cat'\n 'dog']", ["cat", "dog"]),
        ("array(['cat', \"dog's\"], dtype='<U5')", ["cat", "dog's"]),
        ("[np.str_('cat'), np.str_('dog')]", ["cat", "dog"]),
        ("{'cat'}", ["cat"]),
        ("('cat',)", ["cat"]),
        ("['a, b', 'c']", ["a, b", "c"]),
        ("[['a', 'b'], ['c']]", ["a", "b", "c"]),
        ("[2020, 1.5, nan]", ["2020", "1.5"]),
        (r"['caf\xe9' '\U0001f436']", ["café", "🐶"]),
        (r'["\ud83d\ude00"]', ["😀"]),
        ("cat，dog、fox,cow", ["cat", "dog", "fox", "cow"]),
        ("cat", ["cat"]),
        # No lists: as they were.
        ("[oc] cat", ["[oc] cat"]),
        ("[cat, dog]", ["[cat", " dog]"]),
        ("(2020)", ["(2020)"]),
        ("{cat,dog}", ["{cat", "dog}"]),
        ('{"cat": 0.5}', ['{"cat": 0.5}']),
        ('[{"x": 1}]', ['[{"x": 1}]']),
        ("['cat'", ["['cat'"]),
        ("['a'] b", ["['a'] b"]),
        ("array(['a']) b", ["array(['a']) b"]),
    ],
)
def test_split_by_example(text: str, tags: list[str]) -> None:
    assert split(text, ",") == tags
    if tags != [text]:  # the regular expression matches all that need parsing
        asked = pc.match_substring_regex(pa.array([text]), needs_parsing(","))[0].as_py()
        assert asked or tags == text.split(",")


@pytest.mark.parametrize(
    ("separator", "text", "tags"),
    [
        (";", "cat；dog;fox", ["cat", "dog", "fox"]),
        ("|", "cat｜dog|fox，cow", ["cat", "dog", "fox，cow"]),
        (" ", "cat\N{IDEOGRAPHIC SPACE}dog fox", ["cat", "dog", "fox"]),
        ("\t", "cat\tdog fox", ["cat", "dog fox"]),
        (" - ", "cat - dog", ["cat", "dog"]),
    ],
)
def test_other_separators(separator: str, text: str, tags: list[str]) -> None:
    assert split(text, separator) == tags


def test_a_separator_as_a_shell_leaves_it() -> None:
    assert [unescaped(each) for each in (r"\t", r"\n", "\t", ",", "\\", r"\|")] == ["\t", "\n", "\t", ",", "\\", r"\|"]


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (None, []),
        (float("nan"), []),
        ([float("nan"), float("inf"), None, 1, "nan"], ["1", "nan"]),
        ("nan", []),
        (5, ["5"]),
        (["c,d"], ["c,d"]),
        ([["a"], ["b"]], ["a", "b"]),
        ({"name": "cat"}, ["cat"]),
        ({"tag": [{"raw": "Brown Bear", "_content": "brownbear"}]}, ["Brown Bear"]),
        ([{"tag": {"name": "cat"}}], ["cat"]),
        ({"cat": 0.5}, ['{"cat": 0.5}']),
        ([{"name": {"en": "cat"}}, {}], ['{"name": {"en": "cat"}}']),
    ],
)
def test_values_of_json(value: object, tags: list[str]) -> None:
    assert values(value, ",") == tags


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "x"]), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_any_value_gives_text_that_arrow_takes(value: Any) -> None:
    for found in (values(value, ","), list_text(repr(value)) or [], list_text(json.dumps(value)) or []):
        pa.array(found, pa.string()).validate(full=True)
    assert plain_tags(value) is None or isinstance(plain_tags(value), str)


@given(st.text(alphabet="""[](){}'",:\\ unabc1xU0,\n"""))
def test_any_text_is_split(text: str) -> None:
    found = split(text, ",")
    assert all(isinstance(each, str) for each in found)
    if not pc.match_substring_regex(pa.array([text]), needs_parsing(","))[0].as_py():
        assert found == text.split(",")


@pytest.mark.parametrize(
    "text",
    [
        *["[" * 1_000_000, "'" * 1_000_000, "[" + "'" * 1_000_001 + "]", "[" + "\\" * 1_000_000 + "]"],
        *["array(" + "(" * 1_000_000 + ")", "array(" + ",dtype=" * 150_000 + "[)", "array([1]" + " " * 1_000_000 + ")"],
        *["[" + '"\\' * 500_000 + "]", "{" * 500_000 + "}" * 500_000, "[" + "\t" * 1_000_000 + "x]"],
    ],
)
def test_a_megabyte_of_brackets_and_quotes_takes_linear_time(text: str) -> None:
    """With quadratic time this would not end."""
    assert split(text, "|") == [text]
