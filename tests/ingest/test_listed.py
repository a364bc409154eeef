"""Hex digits of lists: normal forms, and what is none."""

import pytest

from tagmill.ingest.listed import md5_text, pdq_words, sha256_text


def test_normal_forms() -> None:
    assert sha256_text(f" {'AB' * 32}\n") == "ab" * 32
    assert md5_text("0" * 32) == "0" * 32
    assert pdq_words("f" * 16 + "0" * 15 + "1" + "8" + "0" * 31) == [-1, 1, -(1 << 63), 0]


@pytest.mark.parametrize("text", ["", "g" * 64, "a" * 63, "a" * 65, "٠" * 64, "0x" + "a" * 62])
def test_anything_else_is_none(text: str) -> None:
    assert sha256_text(text) is None and pdq_words(text) is None and md5_text(text) is None
