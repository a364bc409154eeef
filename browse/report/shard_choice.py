"""Which objects of a corpus a report reads: all of a small corpus, and a fixed number of a large one, chosen by hash."""

import hashlib
from collections.abc import Sequence

MAX_SHARDS = 48
MAX_TABLES = 16  # of rejects, and of the ledger


def choose(names: Sequence[str], most: int) -> list[int]:
    """Returns the positions, ascending, of the `most` names whose sha256 is smallest: the same for the same names."""
    if len(names) <= most:
        return list(range(len(names)))
    order = sorted(range(len(names)), key=lambda number: hashlib.sha256(names[number].encode()).digest())
    return sorted(order[:most])
