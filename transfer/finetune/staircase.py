"""A learning rate that falls by a factor of ten at some steps."""

import math
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Staircase:
    """The learning rates of a run of `steps` steps: a line from 0 up to `peak`, which the step `warmup` is the first to have,
    and a tenth of the rate before from each step of `drops` on. Steps are counted from 0."""

    steps: int
    peak: float
    warmup: int
    drops: tuple[int, ...]  # rising

    def rate(self, step: int) -> float:
        """Returns the learning rate of a step."""
        if step < self.warmup:
            return self.peak * step / self.warmup
        return self._stairs[sum(step >= drop for drop in self.drops)]

    @cached_property
    def _stairs(self) -> list[float]:
        found = [self.peak]
        for _ in self.drops:
            found.append(
                found[-1] / 10
            )  # again and again, as published code does: the last bit of a rate depends on it
        return found


def scaled(steps: int, scale: float) -> int:
    """Returns a share of a number of steps: the nearest whole number, halves up."""
    return math.floor(steps * scale + 0.5)
