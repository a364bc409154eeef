"""Packing is exact and reproducible; what is not a table is refused in one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.labels.wordnet.table import Table, line_text, packed_table, shipped, text_lines, unpacked_table
from tagmill.shards.errors import TagmillError

lines = st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), max_size=10)


@given(lines)
def test_texts_round_trip(items: list[str]) -> None:
    assert text_lines(line_text(items)) == items


@given(lines, st.lists(st.integers(0, 2**31 - 1)))
def test_tables_round_trip(words: list[str], numbers: list[int]) -> None:
    text, rows = line_text(words), np.array(numbers, dtype=np.int32)
    flags = rows % 2 == 0
    table = Table(
        synsets=rows,
        lexfiles=flags.astype(np.uint8),
        instances=flags,
        lemmas=text,
        hypernyms=rows,
        hypernyms_bounds=rows,
        forms=text,
        senses=rows,
        senses_bounds=rows,
        exceptions=text,
    )
    packed = packed_table(table)
    again = unpacked_table(packed)
    assert packed_table(again) == packed
    assert again.synsets.dtype == np.int32 and again.synsets.tolist() == numbers
    assert again.instances.tolist() == flags.tolist()
    assert text_lines(again.lemmas) == words


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "flip"])
def test_what_is_not_a_table_is_refused(damage: str) -> None:
    packed = packed_table(shipped())
    middle = len(packed) // 2
    bad = {
        "empty": b"",
        "cut": packed[:middle],
        "text": b"not a table",
        "flip": packed[:middle] + bytes([packed[middle] ^ 1]) + packed[middle + 1 :],
    }[damage]
    with pytest.raises(TagmillError, match="cannot be read"):
        unpacked_table(bad)
