"""Draws the random numbers of an image (crop, flip, colours, mixup): a function of seed, epoch and position alone.

Every backend, world size and resumed run gets the same draws from here, so that all of them see the same images. The
backends apply the crops; `apply.py` does the rest.
"""

import itertools
from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tagmill.shards.arrays import Floats, Int32s, Int64s, UInt64s

# Philox4x32-10, J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
MULTIPLIERS: Final = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL: Final = (0x9E3779B9, 0xBB67AE85)
PHILOX_ROUNDS: Final = 10
LOW: Final = np.uint64(0xFFFFFFFF)
HALF: Final = np.uint64(32)

# Purposes: draws of one purpose never repeat those of another.
CROP: Final = 0
FLIP: Final = 1
JITTER: Final = 2
RANDAUGMENT: Final = 3
MIXUP: Final = 4
SIZE: Final = 5  # of a batch: the position is its first turn

# Random resized crop, C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, with torchvision's fallback.
ATTEMPTS: Final = 10
WAVES: Final = (0, 1, 3, ATTEMPTS)  # three of four first attempts fit: later ones are computed only for the rest
AREA: Final = (0.08, 1.0)  # share of the image's area
RATIO: Final = (3 / 4, 4 / 3)  # width to height
HALF_LOG_RATIO: Final = 0.14384103622589045  # ln(4/3) / 2
EVAL_SHARE: Final = 224 / 256  # side of the evaluation crop to the short side
# Images at a time: above about 500 numbers numpy releases the GIL at every step and has to re-acquire it.
BETA_TERMS: Final = 448

ORDERS: Final = np.array(
    list(itertools.permutations(range(4))), np.int64
)  # [24, 4], of the four adjustments of a jitter
NUM_OPERATIONS: Final = 14  # RandAugment's
QUANTILES: Final = 4097  # points of the grid on which a beta distribution is integrated


@dataclass(frozen=True, eq=False)
class Crops:
    """Windows of source images, in pixels: a window is resized to the model's square, then flipped."""

    x: Int32s  # [n] left edge
    y: Int32s  # [n] top edge
    width: Int32s  # [n]
    height: Int32s  # [n]
    flip: npt.NDArray[np.bool_]  # [n] flipped left to right

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Int64s) -> "Crops":
        """Returns the crops of some rows."""
        return Crops(self.x[rows], self.y[rows], self.width[rows], self.height[rows], self.flip[rows])


def philox(key: tuple[int, int], counter: UInt64s) -> UInt64s:
    """Computes Philox4x32-10: four 32-bit words for each counter; `counter` and result are uint64 [4, ...] that hold
    32-bit words."""
    words = [*counter]
    for number in range(PHILOX_ROUNDS):
        keys = [np.uint64((key[side] + number * WEYL[side]) & 0xFFFFFFFF) for side in (0, 1)]
        first, second = MULTIPLIERS[0] * words[0], MULTIPLIERS[1] * words[2]
        words = [second >> HALF ^ words[1] ^ keys[0], second & LOW, first >> HALF ^ words[3] ^ keys[1], first & LOW]
    return np.stack(words)


def uniforms(seed: int, epoch: int | Int64s, positions: Int64s, purpose: int, draws: int, first: int = 0) -> Floats:
    """Returns numbers in (0, 1): float64 [4, draws, n]. The key is the seed, the counter (position, epoch, purpose x
    256 + draw), of draws from `first` on; `epoch` is one number, or one for each position (int64 [n])."""
    counter = np.empty((4, draws, len(positions)), np.uint64)
    number = positions.astype(np.uint64)
    counter[0], counter[1] = number & LOW, number >> HALF
    counter[2] = epoch & 0xFFFFFFFF
    counter[3] = purpose * 256 + np.arange(first, first + draws, dtype=np.uint64)[:, None]
    words = philox((seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF), counter)
    return (words.astype(np.float64) + 0.5) * 2.0**-32


def train_crops(seed: int, epoch: int | Int64s, positions: Int64s, widths: Int32s, heights: Int32s) -> Crops:
    """Draws random resized crops and flips of images at `positions` (int64 [n]) of `widths` x `heights` pixels, of one
    `epoch` or one for each (int64 [n]).

    Each of ten attempts draws a share of the area (uniform), a ratio (log-uniform) and an offset (uniform over all that
    fit); the first window that fits is taken, else the largest centred one of allowed ratio. Sides are rounded half to
    even.
    """
    parts = []
    for start in range(0, max(1, len(positions)), BETA_TERMS):
        part = slice(start, start + BETA_TERMS)
        epochs = epoch if isinstance(epoch, int) else epoch[part]
        parts.append(_train_crops(seed, epochs, positions[part], widths[part], heights[part]))
    return parts[0] if len(parts) == 1 else Crops(*map(np.concatenate, zip(*map(astuple, parts), strict=True)))


def _train_crops(seed: int, epoch: int | Int64s, positions: Int64s, widths: Int32s, heights: Int32s) -> Crops:
    """Draws the crops of at most PIECE images."""
    wide, high = widths.astype(np.float64), heights.astype(np.float64)
    x, y, width, height = (np.empty_like(wide) for _ in range(4))
    left = np.arange(len(positions))
    for start, stop in itertools.pairwise(WAVES):
        epochs = epoch if isinstance(epoch, int) else epoch[left]
        *windows, found = _attempts(seed, epochs, positions[left], wide[left], high[left], range(start, stop))
        for whole, part in zip((x, y, width, height), windows, strict=True):
            whole[left[found]] = part[found]
        left = left[~found]
        if not len(left):
            break
    width[left] = np.clip(np.rint(high[left] * RATIO[1]), 1, wide[left])
    height[left] = np.clip(np.rint(wide[left] / RATIO[0]), 1, high[left])
    x[left] = np.floor((wide[left] - width[left]) / 2)
    y[left] = np.floor((high[left] - height[left]) / 2)
    flip = uniforms(seed, epoch, positions, FLIP, 1)[0, 0] < 0.5
    return Crops(
        x.astype(np.int32), y.astype(np.int32), width.astype(np.int32), height.astype(np.int32), flip.astype(np.bool_)
    )


def _attempts(
    seed: int, epoch: int | Int64s, positions: Int64s, wide: Floats, high: Floats, numbers: range
) -> tuple[Floats, Floats, Floats, Floats, npt.NDArray[np.bool_]]:
    """Returns x, y, width and height of the first window of each image that fits, among the attempts with these
    numbers, and whether one fits: [n] each."""
    area, ratio, across, down = uniforms(seed, epoch, positions, CROP, len(numbers), numbers.start)
    side = np.sqrt((AREA[0] + area * (AREA[1] - AREA[0])) * (wide * high))
    stretch = _exp((2.0 * ratio - 1.0) * HALF_LOG_RATIO)  # square root of the ratio
    width, height = np.rint(side * stretch), np.rint(side / stretch)
    fits = (width >= 1) & (width <= wide) & (height >= 1) & (height <= high)
    chosen = fits.argmax(axis=0) * len(positions) + np.arange(len(positions))
    width, height, found, across, down = (each.ravel()[chosen] for each in (width, height, fits, across, down))
    x = np.floor(across * (wide - width + 1.0))
    y = np.floor(down * (high - height + 1.0))
    return x, y, width, height, found


def eval_crops(widths: Int32s, heights: Int32s, size: int, share: float = EVAL_SHARE) -> Crops:
    """Returns centred squares: resized to `size`, each is the centre of the image whose short side was resized to
    `size` / `share` (a whole number of pixels). Sides and edges are whole source pixels, at most half a pixel from the
    exact ones."""
    short = np.minimum(widths, heights).astype(np.float64)
    side = np.maximum(1.0, np.rint(short * size / np.rint(size / share))).astype(np.int32)
    x, y = (widths - side) // 2, (heights - side) // 2
    return Crops(x.astype(np.int32), y.astype(np.int32), side, side.copy(), np.zeros(len(side), np.bool_))


def jitters(
    seed: int, epoch: int | Int64s, positions: Int64s, strengths: tuple[float, float, float, float]
) -> tuple[Floats, Int64s]:
    """Draws the colour jitter of images at `positions` (int64 [n]): factors of brightness, contrast and saturation and
    the rotation of the hue as a share of the circle, float64 [4, n], and the order in which the four are applied, int64
    [4, n].

    A factor is uniform in [max(0, 1 - strength), 1 + strength], the rotation in [-strength, strength]; all orders are
    equally likely.
    """
    first, second = np.moveaxis(uniforms(seed, epoch, positions, JITTER, 2), 1, 0)
    strength = np.array(strengths)[:, None]
    middle = np.array([1.0, 1.0, 1.0, 0.0])[:, None]
    least = np.where(middle > 0, np.maximum(0.0, middle - strength), -strength)
    order = ORDERS[(second[0] * len(ORDERS)).astype(np.int64)]
    return least + first * (middle + strength - least), order.T


def operations(seed: int, epoch: int | Int64s, positions: Int64s, count: int) -> tuple[Int64s, npt.NDArray[np.bool_]]:
    """Draws RandAugment's choices for images at `positions` (int64 [n]): the numbers of `count` consecutive operations,
    int64 [count, n] below 14, independent and equally likely; and whether the strength is negated, bool [count, n]. E.
    D. Cubuk et al., "RandAugment", 2019."""
    chosen, sign, _, _ = uniforms(seed, epoch, positions, RANDAUGMENT, count)
    return (chosen * NUM_OPERATIONS).astype(np.int64), (sign < 0.5).astype(np.bool_)


def mixes(
    seed: int, epoch: int | Int64s, positions: Int64s, mixable: npt.NDArray[np.bool_], alpha: float
) -> tuple[Int64s, Floats]:
    """Draws mixup for a rank's images at `positions` (int64 [n]): the row of each one's partner, int64 [n], and the
    image's own share of the mix, float64 [n], from the beta distribution with both parameters `alpha`. H. Zhang et al.,
    "mixup", 2017.

    The share is a function of the position. The partner is the next image of the same local batch in a random order, so
    it depends on the set of ranks. Rows that are not `mixable` are their own partners, with share 1.
    """
    share, number, _, _ = uniforms(seed, epoch, positions, MIXUP, 1)[:, 0]
    rows = np.flatnonzero(mixable)
    order = rows[np.argsort(number[rows], kind="stable")]
    partners = np.arange(len(positions))
    partners[order] = np.roll(order, -1)
    return partners, np.where(partners == np.arange(len(positions)), 1.0, beta_quantiles(alpha, share))


def beta_quantiles(alpha: float, shares: Floats) -> Floats:
    """Returns the quantiles of the beta distribution with both parameters `alpha` at `shares`, within 1e-5.

    Integrates the density by the trapezoidal rule over the lower half, in a variable in which it is bounded: x = (v^(p
    / alpha)) / 2 with p = max(1, alpha), so that x^(alpha - 1) dx is v^(p - 1) dv up to a factor; the upper half
    mirrors it.
    """
    power = max(1.0, alpha)
    grid = np.linspace(0.0, 1.0, QUANTILES)
    places = grid ** (power / alpha) / 2
    density = grid ** (power - 1.0) * (1.0 - places) ** (alpha - 1.0)
    total = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    lower = np.interp(np.minimum(shares, 1.0 - shares), total / (2 * total[-1]), grid) ** (power / alpha) / 2
    return np.where(shares < 0.5, lower, 1.0 - lower)


def _exp(power: Floats) -> Floats:
    """Returns e^power for |power| < 0.15, within 2^-52. Uses only sums and products, which every machine rounds alike:
    the exp of libraries differs in the last bit, and a window's side could be rounded to another pixel."""
    total = np.ones_like(power)
    for term in range(11, 0, -1):
        total = 1.0 + power * total / term
    return total
