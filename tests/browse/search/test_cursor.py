"""Positions in links: a round trip, and every other text is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.browse.search.cursor import Cursor
from tagmill.shards.errors import ConfigError


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**9 - 1))
def test_a_cursor_is_read_back(shard: int, ordinal: int) -> None:
    assert Cursor.parse(str(Cursor(shard, ordinal))) == Cursor(shard, ordinal)


@pytest.mark.parametrize("text", ["1", "-", "1-", "-1-2", "1-2-3", "1-2\n", "٣-٤", "1e3-1", "9" * 10 + "-1", "../x"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no position"):
        Cursor.parse(text)


def test_no_text_is_the_beginning() -> None:
    assert Cursor.parse("") == Cursor(0, 0)
