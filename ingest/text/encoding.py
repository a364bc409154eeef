"""Encodings of text that are not UTF-8, told by their first bytes."""

import codecs

# The marks of UTF-32 first: that of UTF-16-LE is the beginning of one of them.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
# What ASCII looks like in them where no mark is written: which of four bytes are zero.
_ZEROS = {
    (False, True, True, True): "UTF-32-LE",
    (True, True, True, False): "UTF-32-BE",
    (False, True, False, True): "UTF-16-LE",
    (True, False, True, False): "UTF-16-BE",
}
BYTES_LOOKED_AT = 16  # bytes


def wide(head: bytes) -> str | None:
    """The encoding of a text whose first bytes (LOOKED_AT of them, if it has so many) are UTF-16 or UTF-32; else None.

    The name is one that Python and iconv know. Without a byte order mark the first characters must be ASCII.
    """
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return name
    zeros = [byte == 0 for byte in head[:BYTES_LOOKED_AT]]
    fours = {tuple(zeros[start : start + 4]) for start in range(0, len(zeros) - 3, 4)}
    return _ZEROS.get(fours.pop()) if len(fours) == 1 else None  # type: ignore[arg-type]


def remedy(encoding: str) -> str:
    """The way out for who has such a text."""
    return f"save it as UTF-8 (CSV UTF-8 in Excel), or: iconv -f {encoding} -t UTF-8 OLD > NEW"


def decoded_text(data: bytes) -> str:
    """A whole text: UTF-16 and UTF-32 by their marks, all else as UTF-8 with or without one; what is no text is replaced."""
    encoding = wide(data[:BYTES_LOOKED_AT])
    return data.decode(encoding or "utf-8-sig", "replace").removeprefix("\ufeff")
