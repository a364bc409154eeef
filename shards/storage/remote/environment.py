"""Reads the environment variables of a service, for every request, because a program may set them at any time."""

import os
from collections.abc import MutableMapping
from functools import lru_cache

Environment = tuple[tuple[str, str], ...]  # sorted as the process has them; identifies clients and keys


_VARIABLES: MutableMapping[bytes, bytes] = getattr(os.environ, "_data", os.environb)


def variables(*prefixes: bytes) -> Environment:
    """Returns the current variables whose names begin with one of `prefixes`."""
    return _chosen(tuple(_VARIABLES.items()), prefixes)


@lru_cache(maxsize=16)  # os.environ decodes each variable when it is read, a fifth of the time of a small request
def _chosen(items: tuple[tuple[bytes, bytes], ...], prefixes: tuple[bytes, ...]) -> Environment:
    return tuple((os.fsdecode(name), os.fsdecode(value)) for name, value in items if name.startswith(prefixes))


def is_true(value: str) -> bool:
    """Returns whether a variable says yes."""
    return value.lower() in ("true", "1", "yes", "on", "y")
