"""Hashes as people write them into lists: hex digits of sha256, md5 and PDQ."""

import re

_HEX = re.compile(r"[0-9a-f]*")


def sha256_text(text: str) -> str | None:
    """The 64 digits in their normal form; None for anything else."""
    return _digits(text, 64)


def md5_text(text: str) -> str | None:
    """The 32 digits in their normal form; None for anything else."""
    return _digits(text, 32)


def pdq_words(text: str) -> list[int] | None:
    """The four signed words of a PDQ hash of 64 digits, as `Fingerprint` has them; None for anything else."""
    digits = _digits(text, 64)
    if digits is None:
        return None
    data = bytes.fromhex(digits)
    return [int.from_bytes(data[start : start + 8], "big", signed=True) for start in range(0, 32, 8)]


def _digits(text: str, count: int) -> str | None:
    text = text.strip().lower()
    return text if len(text) == count and _HEX.fullmatch(text) else None
