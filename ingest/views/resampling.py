"""Resampling: how often an epoch shows an image, so that rare labels are seen more often than they occur.

After D. Mahajan et al., "Exploring the Limits of Weakly Supervised Pretraining", ECCV 2018 (resampling of hashtags): an
image is shown max over its labels of max(1, phi(t / f)) times, f the images of a label, phi(x) = sqrt(x) (`sqrt`) or x
(`uniform`). That falls with f, so it is the repeat of the image's rarest label. t is solved for a length of the epoch.

`cap` shows no image more often than once: it keeps an image with probability max over its labels of t / max(f, t), after
H. Xu et al., "Demystifying CLIP Data", ICLR 2024 (arXiv 2309.16671). t is given or solved for a length of the epoch.
Of f > t images whose rarest label is one of f images, an epoch shows a share of t / f, and the next epoch others.

All repeats are whole numbers of units of 2^-16, rounded down exactly, and their sums are int64.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from tagmill.shards.arrays import Int32s, Int64s
from tagmill.shards.errors import ConfigError
from tagmill.shards.view import ONE

ResampleKind = Literal["natural", "sqrt", "uniform", "cap"]

UNITS: Final = 16  # bits of a repeat's fraction
DEFAULT_LENGTH: Final = 2  # default length of an epoch, in multiples of the labelled images: half of it is repetition
LARGEST: Final = 1 << 62


@dataclass(frozen=True, eq=False)
class Solved:
    """A resampling that comes up to a length of an epoch."""

    t: float  # 0 where no image is repeated
    repeats: Int64s  # [L] of an image by its rarest label, in units of 2^-16; 0 where no image has the label
    total: int  # sum over all images, in units of 2^-16
    reached: int  # whole samples in `total`; an epoch has these, or at times one more where a fraction is left


def rarest_of(labels: Int32s, frequencies: Int64s) -> Int32s:
    """Returns each image's rarest label, [n], from `labels` [n, K] (-1 padded); -1 where it has none.

    The rarest has the least of `frequencies` [L], among equal ones the highest id.
    """
    num_labels = len(frequencies)
    ids = np.arange(num_labels)
    by_rarity = np.append(np.lexsort((-ids, frequencies)), -1).astype(np.int32)
    rank = np.empty(num_labels + 1, np.int32)
    rank[by_rarity] = np.arange(num_labels + 1)  # the padding, -1, ranks last, behind every label
    rarest: Int32s = by_rarity[rank[labels].min(axis=1, initial=num_labels)]
    return rarest


def repeat_of(frequencies: Int64s, kind: ResampleKind, t: float, max_repeat: int) -> Int64s:
    """Returns repeats by label: floor(2^16 x min(max_repeat, max(1, phi(t / f)))), f in `frequencies` [L]; 0 where f is 0.

    With `cap` they are max(1, floor(2^16 x min(1, t / f))): one unit at least, so that no image is lost for good.
    Exact, because every step uses integers; so no label's repeat falls while t grows. Raises ConfigError where
    frequencies or max_repeat are too large for 64 bits.
    """
    _check_size(frequencies, max_repeat)
    images = np.maximum(frequencies, 1)
    repeats = np.full(len(frequencies), ONE, np.int64)
    if kind == "cap":
        repeats = np.maximum(1, _quotient(t, images, UNITS, 1))
    elif kind == "uniform":
        repeats = np.maximum(repeats, _quotient(t, images, UNITS, max_repeat))
    elif kind == "sqrt":
        # floor(sqrt(x)) = isqrt(floor(x)), with x = 2^32 t / f.
        repeats = np.maximum(repeats, _isqrt(_quotient(t, images, 2 * UNITS, max_repeat**2)))
    return np.where(frequencies > 0, repeats, 0)


def solve(
    frequencies: Int64s,
    rarest_counts: Int64s,
    kind: ResampleKind,
    epoch_samples: int | None,
    max_repeat: int,
    cap_at: int | None = None,
) -> Solved:
    """Returns the largest t (float64) for which the sum of all repeats does not exceed `epoch_samples`.

    `frequencies` [L] are the images of each label, `rarest_counts` [L] those whose rarest label it is. Where every
    image may be repeated `max_repeat` times, t is the least that does so. Without `epoch_samples`, twice as many
    samples as labelled images are asked for (or max_repeat times, if that is less), so that the cost is known
    beforehand. `cap_at` is t of `cap`, which has one of both; then every image is shown at most once, and t is the least
    that shows all of them where the epoch has room. Raises ConfigError for a length that cannot be reached.
    """
    _check_size(frequencies, max_repeat)
    images = int(rarest_counts.sum())
    assert (rarest_counts <= frequencies).all(), "a label is the rarest of more images than have it"
    if images * max_repeat * ONE >= 2 * LARGEST:
        raise ConfigError(f"{images} images repeated {max_repeat} times", "resampling", "give a smaller max_repeat")
    if kind == "natural":
        if epoch_samples is not None:
            remedy = "natural shows every image once: choose sqrt or uniform, or leave epoch_samples out"
            raise ConfigError("natural resampling and epoch_samples", "resampling", remedy)
        return _solution(frequencies, rarest_counts, kind, 0.0, max_repeat)
    if kind == "cap":
        return _capped(frequencies, rarest_counts, images, epoch_samples, cap_at)
    wanted = min(DEFAULT_LENGTH, max_repeat) * images if epoch_samples is None else epoch_samples
    if not images <= wanted <= images * max_repeat:
        remedy = f"give {images} (every labelled image once) to {images * max_repeat} (each {max_repeat} times)"
        raise ConfigError(f"epoch_samples {wanted} cannot be reached", "resampling", remedy)
    if not images:
        return _solution(frequencies, rarest_counts, kind, 0.0, max_repeat)
    return _bisect(frequencies, rarest_counts, kind, wanted << UNITS, max_repeat)


def _capped(
    frequencies: Int64s, rarest_counts: Int64s, images: int, epoch_samples: int | None, cap_at: int | None
) -> Solved:
    """Returns the solution for `cap`, whose t or whose length of the epoch is given."""
    if cap_at is not None:
        return _solution(frequencies, rarest_counts, "cap", float(cap_at), 1)
    assert epoch_samples is not None, "cap needs a threshold or a length"
    least = -(-images // ONE)  # every repeat one unit
    if not least <= epoch_samples <= images:
        remedy = f"give {least} to {images}, each labelled image once"
        raise ConfigError(f"epoch_samples {epoch_samples} cannot be reached", "resampling", remedy)
    if not images:
        return _solution(frequencies, rarest_counts, "cap", 0.0, 1)
    return _bisect(frequencies, rarest_counts, "cap", epoch_samples << UNITS, 1)


def _bisect(frequencies: Int64s, rarest_counts: Int64s, kind: ResampleKind, most: int, max_repeat: int) -> Solved:
    """Bisects over the bit patterns of float64, which sort like the numbers, until low and high are neighbours."""
    present = frequencies[rarest_counts > 0]
    power = 2 if kind == "sqrt" else 1
    low, high = float(present.min()), float(present.max()) * max_repeat**power  # every repeat 1, every one max_repeat
    low = 0.0 if kind == "cap" else low  # every repeat one unit
    solved = _solution(frequencies, rarest_counts, kind, high, max_repeat)
    if solved.total <= most:
        return solved
    solved = _solution(frequencies, rarest_counts, kind, low, max_repeat)
    below, above = (int(np.float64(end).view(np.int64)) for end in (low, high))
    while above - below > 1:
        middle = (below + above) // 2
        t = float(np.int64(middle).view(np.float64))
        tried = _solution(frequencies, rarest_counts, kind, t, max_repeat)
        if tried.total <= most:
            below, solved = middle, tried
        else:
            above = middle
    return solved


def _solution(frequencies: Int64s, rarest_counts: Int64s, kind: ResampleKind, t: float, max_repeat: int) -> Solved:
    repeats = repeat_of(frequencies, kind, t, max_repeat)
    total = int((repeats * rarest_counts).sum())
    return Solved(t, repeats, total, total >> UNITS)


def _check_size(frequencies: Int64s, max_repeat: int) -> None:
    largest = int(frequencies.max(initial=0))
    if not 1 <= max_repeat <= ONE // 2 or largest * max_repeat**2 > LARGEST or largest >= 1 << 46:
        what = f"max_repeat {max_repeat} with {largest} images of a label"
        raise ConfigError(what, "resampling", "give a whole number from 1 to 32,768, and a smaller one for more images")


def _quotient(t: float, images: Int64s, bits: int, most: int) -> Int64s:
    """Returns min(floor(2^bits x t / images), 2^bits x most) for `images` [L] from 1 to below 2^46; bits 16 or 32.

    Long division in base 2^16, because 2^bits x t does not fit into 64 bits. The digits of t are exact.
    """
    t = min(t, float(LARGEST))  # beyond it every quotient is `most`
    digit, fraction = divmod(t, 1.0)
    quotient, rest = np.divmod(np.int64(digit), images)
    over = quotient >= most
    quotient = np.where(over, 0, quotient)
    for _ in range(0, bits, 16):
        digit, fraction = divmod(fraction * 2.0**16, 1.0)
        more, rest = np.divmod((rest << 16) + np.int64(digit), images)
        quotient = (quotient << 16) + more
    return np.where(over, most << bits, quotient)


def _isqrt(numbers: Int64s) -> Int64s:
    """Returns floor(sqrt(x)) of integers from 0 to 2^62.

    The float root is never too small, because rounding preserves order and the roots of squares; it is at most one too
    large.
    """
    root = np.sqrt(numbers.astype(np.float64)).astype(np.int64)
    root -= root * root > numbers
    return root
