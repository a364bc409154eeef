"""The retry policy of stores."""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Retries:
    """The number and spacing of tries: `first` seconds of backoff, doubled each time up to `most`, with jitter.

    By default about ten seconds in all, in addition to the time of the tries themselves.
    """

    tries: int = 7
    first: float = 0.2
    most: float = 10.0

    def backoffs(self) -> Iterator[float]:
        """Yields the seconds to sleep before each further try."""
        for attempt in range(self.tries - 1):
            yield min(self.most, self.first * 2**attempt) * (0.5 + random.random() / 2)
