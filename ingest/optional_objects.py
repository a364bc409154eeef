"""Reads objects that may be missing by one request: asking first whether they exist would be another."""

from tagmill.shards.storage.store import Store


def read_if_there(store: Store, name: str) -> bytes | None:
    """Returns the content of an object, None where there is none of that name."""
    try:
        return store.read(name)
    except FileNotFoundError:
        return None
