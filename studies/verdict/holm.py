"""Holm's procedure: several comparisons with one error rate for all of them together (Holm 1979)."""

from collections.abc import Sequence
from typing import NamedTuple


class Corrected(NamedTuple):
    """A comparison among several."""

    p: float  # adjusted: it is at most the error rate where the comparison is decided
    share: float  # of the error rate that its interval has: the interval excludes 0 exactly where the comparison is decided


def holm(p_values: Sequence[float], error_rate: float) -> list[Corrected]:
    """Returns each comparison after Holm's procedure, in the order given.

    The smallest of m p values is compared with error_rate / m, the next with error_rate / (m - 1), and so on, until the first
    that is above; all later ones are undecided too, and have its share of the error rate.
    """
    order = sorted(range(len(p_values)), key=lambda place: (p_values[place], place))
    found = [Corrected(1.0, 1.0)] * len(p_values)
    running, left, stopped = 0.0, len(p_values), False
    for rank, place in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p_values[place]))
        if not stopped:
            left = len(order) - rank
            stopped = p_values[place] > error_rate / left
        found[place] = Corrected(running, 1 / left)
    return found
