"""Front matter: any text is read back as it was, on one line, with nothing hidden or marked up."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.exchange.front_matter import front_matter, is_plain

yaml = pytest.importorskip("yaml")


@given(st.text(max_size=60) | st.text("\"\\\n\r\u2028\u202e\x85\x00<>-: #'{}[]&*!|%@`\U000e0041😀", max_size=60))
def test_text_is_read_back_as_it_was(text: str) -> None:
    found = front_matter({"name": text, "list": [{"a": text}]})
    lines = found.split("\n")
    assert len(lines) == 4 and lines[0] == lines[-1] == "---"
    assert all(is_plain(each) for line in lines for each in line) and "<" not in found and ">" not in found
    assert yaml.safe_load("\n".join(lines[1:-1])) == {"name": text, "list": [{"a": text}]}


def test_plain_values_are_json() -> None:
    line = front_matter({"sizes": ["a", 1, None, True]}).split("\n")[1]
    assert json.loads(line.removeprefix("sizes: ")) == ["a", 1, None, True]
