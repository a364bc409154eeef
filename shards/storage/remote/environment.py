"""Reads the environment variables of a service, for every request, because a program may set them at any time."""

import os
from functools import lru_cache

Environment = tuple[tuple[str, str], ...]  # sorted as the process has them; identifies clients and keys


def variables(*prefixes: bytes) -> Environment:
    """Returns the current variables whose names begin with one of `prefixes`."""
    return _decoded(tuple(item for item in os.environb.items() if item[0].startswith(prefixes)))


@lru_cache(maxsize=64)
def _decoded(items: tuple[tuple[bytes, bytes], ...]) -> Environment:
    return tuple((os.fsdecode(name), os.fsdecode(value)) for name, value in items)


def is_true(value: str) -> bool:
    """Returns whether a variable says yes."""
    return value.lower() in ("true", "1", "yes", "on", "y")
