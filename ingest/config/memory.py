"""Sizes of memory in words, and how the SQL engine and the duplicate search share it."""

import re

from tagmill.shards.errors import ConfigError

_SIZE = re.compile(r"([1-9][0-9]*(?:\.[0-9]+)?) ?([KMGT]?)(i?)B")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
ENGINE_SHARE = 0.5


def is_size(text: str) -> bool:
    """Whether `bytes_of` can read it."""
    return _SIZE.fullmatch(text) is not None


def bytes_of(text: str) -> int:
    """Bytes of a size such as 500MB or 2GiB. Raises ConfigError for any other text."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is no size", "memory_limit", "give one such as 500MB or 2GB")
    number, power, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[power])


def shared(memory: int) -> tuple[int, int]:
    """(bytes for the SQL engine, bytes for the duplicate search beside it); the rest is for what neither counts."""
    return int(memory * ENGINE_SHARE), int(memory * (1 - ENGINE_SHARE) * 0.6)
