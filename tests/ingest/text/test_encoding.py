"""UTF-16 and UTF-32 are detected by their first bytes, with a mark or without; UTF-8 never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.text.encoding import BYTES_EXAMINED, decoded_text, encoding_remedy, wide_encoding

NAMES = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
ascii_text = st.text(st.characters(min_codepoint=1, max_codepoint=127), min_size=2)


@pytest.mark.parametrize("name", NAMES)
@given(text=ascii_text, rest=st.text())
def test_wide_text_is_named_with_a_mark_and_without(name: str, text: str, rest: str) -> None:
    for mark in ("\ufeff", ""):
        data = (mark + text + (rest if mark else "")).encode(name, "replace")
        found = wide_encoding(data[:BYTES_EXAMINED])
        assert found is not None and found.lower() == (name[:6] if mark else name)
        assert decoded_text(data) == data.decode(name).removeprefix("\ufeff")
        assert f"-f {found}" in encoding_remedy(found)


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_utf8_is_not_wide(text: str) -> None:
    for mark in ("", "\ufeff"):
        assert wide_encoding((mark + text).encode()[:BYTES_EXAMINED]) is None
    assert decoded_text(text.encode("utf-8-sig")) == text.removeprefix("\ufeff")


@given(st.binary())
def test_decoding_takes_any_bytes(data: bytes) -> None:
    assert isinstance(decoded_text(data), str)
    wide_encoding(data)
