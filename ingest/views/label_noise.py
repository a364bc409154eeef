"""Label noise: a share p of the labels is replaced by draws from the labels' own marginal.

After D. Mahajan et al., "Exploring the Limits of Weakly Supervised Pretraining", ECCV 2018 (study of label noise): a
replaced label i becomes j with probability m_j / (1 - m_i), m the marginal over labels, without i itself. So the
marginal of the result is not m but `expected`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from tagmill.ingest.views.keyed_random import REPLACE, REPLACEMENT, Keys, draw_below, uniform, words
from tagmill.shards.arrays import Floats, Int32s, Int64s
from tagmill.shards.errors import ConfigError

NOISE_ROWS: Final = 1 << 14  # images at a time; their arrays stay in a core's cache


@dataclass(frozen=True)
class NoiseCounts:
    """Counts of replaced and merged labels, which add up over parts of the work."""

    replaced: int
    merged: int  # labels lost because a replacement equals another label of its image


def add_noise(labels: Int32s, keys: Keys, frequencies: Int64s, p: float, seed: int) -> tuple[Int32s, NoiseCounts]:
    """Replaces each of the labels [n, K] with probability p, and merges equal labels of an image.

    `labels` are ascending and distinct in a row, padded with -1, and so is the result; `keys` [n, 16] are the samples',
    `frequencies` [L] the images of each label. A draw depends on seed, sample and label only. Raises ConfigError for a
    p outside [0, 1], or above 0 where fewer than two labels have images.
    """
    _check(frequencies, p)
    result = labels.copy()
    replaced = 0
    merged = 0
    for start in range(0, len(labels) if p else 0, NOISE_ROWS):
        piece = result[start : start + NOISE_ROWS]
        rows, columns = np.nonzero(piece >= 0)
        old = piece[rows, columns].astype(np.int64)
        new = replace(old, keys[start : start + NOISE_ROWS][rows], frequencies, p, seed)
        piece[rows, columns] = new
        changed = np.unique(rows[new != old])
        piece[changed], gone = _merge_duplicates(piece[changed])
        replaced += int((new != old).sum())  # a label never replaces itself
        merged += gone
    return result, NoiseCounts(replaced, merged)


def replace(labels: Int64s, keys: Keys, frequencies: Int64s, p: float, seed: int) -> Int64s:
    """Replaces single labels [m] of the samples `keys` [m, 16], each with probability p; merges nothing.

    The new label is found by a draw in the cumulative counts of `frequencies` [L], skipping the old label's own
    interval. Where p is above 0, at least two labels have images.
    """
    ends = np.cumsum(frequencies)
    drawn = np.flatnonzero(uniform(seed, REPLACE, keys, labels) < p)
    old = labels[drawn]
    own = frequencies[old]
    rank = draw_below(words(seed, REPLACEMENT, keys[drawn], old), ends[-1] - own) if len(drawn) else old
    rank += np.where(rank >= ends[old] - own, own, 0)
    result = labels.copy()
    result[drawn] = np.searchsorted(ends, rank, side="right")
    return result


def expected(frequencies: Int64s, p: float) -> Floats:
    """Returns the marginal [L] after noise, before merging: m_j ((1 - p) + p x sum over i != j of m_i / (1 - m_i)).

    Raises ConfigError as `add_noise` does.
    """
    _check(frequencies, p)
    total = max(int(frequencies.sum()), 1)
    marginal = frequencies / total
    if not p:
        return marginal
    odds = frequencies / (total - frequencies)
    # Sums before and after each label: subtracting a label with nearly all images from the total would lose all digits.
    others = np.concatenate([[0.0], np.cumsum(odds)[:-1]]) + np.concatenate([np.cumsum(odds[::-1])[-2::-1], [0.0]])
    return np.asarray(marginal * ((1 - p) + p * others))


def _check(frequencies: Int64s, p: float) -> None:
    if not 0 <= p <= 1:
        raise ConfigError(f"noise {p}", "label noise", "give a share from 0 to 1")
    num_labels = int(np.count_nonzero(frequencies))
    if p and num_labels < 2:
        what = f"noise {p} where {num_labels} labels have images"
        raise ConfigError(what, "label noise", "give a vocabulary with two labels or more, or no noise")


def _merge_duplicates(rows: Int32s) -> tuple[Int32s, int]:
    """Returns rows [n, K] made ascending, distinct and padded again, and how many labels were removed."""
    ids = rows.view(np.uint32)  # as uint32, -1 is the largest value, so padding sorts last
    ids = np.sort(ids, axis=1)
    again = (ids[:, 1:] == ids[:, :-1]) & (ids[:, 1:] != np.uint32(0xFFFFFFFF))
    ids[:, 1:][again] = np.uint32(0xFFFFFFFF)
    twice = again.any(axis=1)
    ids[twice] = np.sort(ids[twice], axis=1)
    return ids.view(np.int32), int(again.sum())
