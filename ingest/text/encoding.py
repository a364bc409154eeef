"""Detects text encodings other than UTF-8 by their first bytes."""

import codecs

# UTF-32 first: the mark of UTF-16-LE is a prefix of one of its marks.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
# Patterns of ASCII text without a mark: which of four bytes are zero.
_ZEROS = {
    (False, True, True, True): "UTF-32-LE",
    (True, True, True, False): "UTF-32-BE",
    (False, True, False, True): "UTF-16-LE",
    (True, False, True, False): "UTF-16-BE",
}
BYTES_EXAMINED = 16  # bytes


def wide_encoding(head: bytes) -> str | None:
    """Returns the encoding of a text whose first bytes (up to BYTES_EXAMINED) are UTF-16 or UTF-32; else None.

    The name is one that Python and iconv know. Without a byte order mark the first characters must be ASCII.
    """
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    zeros = [byte == 0 for byte in head[:BYTES_EXAMINED]]
    fours = {tuple(zeros[start : start + 4]) for start in range(0, len(zeros) - 3, 4)}
    return _ZEROS.get(fours.pop()) if len(fours) == 1 else None  # type: ignore[arg-type]


def encoding_remedy(encoding: str) -> str:
    """Returns the advice for a text in this encoding."""
    return f"save it as UTF-8 (CSV UTF-8 in Excel), or: iconv -f {encoding} -t UTF-8 OLD > NEW"


def decoded_text(data: bytes) -> str:
    """Decodes a whole text: UTF-16 and UTF-32 by their marks, all else as UTF-8; invalid bytes are replaced."""
    encoding = wide_encoding(data[:BYTES_EXAMINED])
    return data.decode(encoding or "utf-8-sig", "replace").removeprefix("\ufeff")
