"""How patiently what fails is tried again."""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Retries:
    """How often and how patiently a store is tried again: `first` seconds, doubled each time up to `most`, with jitter.

    By default some ten seconds in all, beside the time that the tries themselves take.
    """

    tries: int = 7
    first: float = 0.2
    most: float = 10.0

    def waits(self) -> Iterator[float]:
        """Seconds to sleep before each further try."""
        for attempt in range(self.tries - 1):
            yield min(self.most, self.first * 2**attempt) * (0.5 + random.random() / 2)
