"""The retry policy of stores: how many tries, how far apart, and which errors end them."""

import errno
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.counters import STORE_COUNTERS
from tagmill.shards.storage.error_verdicts import classify, describe, retry_after
from tagmill.shards.storage.threads import pause

T = TypeVar("T")

LONGEST_WAIT = 60.0  # seconds between two tries, whatever a store asks for


@dataclass(frozen=True)
class Retries:
    """The number and spacing of tries: `first` seconds of backoff, doubled each time up to `most`, with jitter.

    By default about ten seconds in all, in addition to the time of the tries themselves. A store that asks for a longer
    wait (Retry-After) gets it, up to LONGEST_WAIT each time.
    """

    tries: int = 7
    first: float = 0.2
    most: float = 10.0

    def backoffs(self) -> Iterator[float]:
        """Yields the seconds to sleep before each further try."""
        for attempt in range(self.tries - 1):
            yield min(self.most, self.first * 2**attempt) * (0.5 + random.random() / 2)


def tried(retries: Retries, where: str, ask: Callable[[], T], renew: Callable[[], bool | None] = lambda: None) -> T:
    """Returns the result of `ask`, with retries. Raises FileNotFoundError, FileExistsError, and StoreError for a store
    that refuses or keeps failing.

    `renew` says whether a refused request may be repeated with other keys: True, False (perhaps later), or None
    (never). In a thread whose pool was stopped no try starts: raises CancelledError.
    """
    backoffs = retries.backoffs()
    while True:
        pause()
        try:
            return ask()
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            found = classify(error)
            if found == "ours":
                raise
            if found == "absent":
                raise FileNotFoundError(errno.ENOENT, describe(error), where) from error
            others = renew() if isinstance(error, PermissionError) else None
            if others:
                continue
            if found == "refused" or (found == "expired" and others is None):
                remedy = "renew the keys, then run again" if found == "expired" else "check the credentials"
                remedy = getattr(error, "remedy", remedy)
                raise StoreError(f"the store refuses: {describe(error)}", where, remedy) from error
            backoff = next(backoffs, None)
            if backoff is None:
                what = f"the store failed {retries.tries} times, last: {describe(error)}"
                remedy = "renew the keys" if found == "expired" else "check address, network and credentials"
                raise StoreError(what, where, f"{remedy}, then run again") from error
            STORE_COUNTERS.add(retries=1)
            pause(max(backoff, _asked(error)))


def _asked(error: Exception) -> float:
    """Returns the seconds that the store asks to wait, with jitter, so that threads do not all return at once."""
    return min(LONGEST_WAIT, (retry_after(error) or 0.0) * (1 + random.random() / 4))
