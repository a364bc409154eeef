"""Rates of several rounds: medians with their spread."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NOISY = 0.2  # (fastest - slowest) / median of the rounds, above which a figure supports no conclusion


@dataclass(frozen=True)
class MeasuredRound:
    """What one round measured."""

    images: int
    bytes: int  # of encoded images
    seconds: float
    cpu_seconds: float  # of this process with all its threads


@dataclass(frozen=True)
class MeasuredRate:
    """Medians over rounds of one thing that was measured."""

    name: str
    images_per_second: float
    slowest: float  # round, images/s
    fastest: float
    bytes_per_second: float  # of encoded images
    cpu_ms: float  # milliseconds of one core for each image

    @classmethod
    def of(cls, name: str, runs: Sequence[MeasuredRound]) -> "MeasuredRate":
        """Returns the medians of at least one run."""
        rates = [run.images / run.seconds for run in runs]
        return cls(
            name,
            statistics.median(rates),
            min(rates),
            max(rates),
            statistics.median(run.bytes / run.seconds for run in runs),
            statistics.median(1000 * run.cpu_seconds / run.images for run in runs),
        )

    @property
    def spread(self) -> float:
        """(fastest - slowest) / median."""
        return (self.fastest - self.slowest) / self.images_per_second

    @property
    def is_noisy(self) -> bool:
        """Whether the rounds differ too much for a conclusion."""
        return self.spread > NOISY

    def is_above(self, other: "MeasuredRate") -> bool:
        """Whether each round was faster than each of another."""
        return self.slowest > other.fastest
