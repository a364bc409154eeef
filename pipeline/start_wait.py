"""The wait of a rank before its first request, so that the ranks of a large run do not ask a store for the same objects
at the same moment."""

import secrets
from collections.abc import Callable

from tagmill.shards.storage.threads import pause

RANKS_A_SECOND = 100  # that begin: each asks for a few objects, and a store answers some thousand requests/s for a key
LONGEST_WAIT_SECONDS = 10.0
_DRAW = secrets.SystemRandom().random


def wait_to_start(ranks: int, *, draw: Callable[[], float] = _DRAW, sleep: Callable[[float], object] = pause) -> None:
    """Waits a random time of up to `ranks` / RANKS_A_SECOND seconds, at most LONGEST_WAIT_SECONDS; not at all for one
    rank.

    `draw` returns a number of [0, 1). It must differ from rank to rank, and the random numbers of a training script are
    often seeded with the same number.
    """
    if ranks > 1:
        sleep(draw() * min(LONGEST_WAIT_SECONDS, ranks / RANKS_A_SECOND))
