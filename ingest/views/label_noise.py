"""Label noise: a share p of the labels is replaced by draws from the labels' own marginal.

After D. Mahajan et al., "Exploring the Limits of Weakly Supervised Pretraining", ECCV 2018 (study of label noise): a
replaced label i becomes j with probability m_j / (1 - m_i), m the marginal over labels, of which i itself is left out.
So the marginal of what comes out is not m but `expected`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from tagmill.ingest.views.keyed_random import REPLACE, REPLACEMENT, Keys, draw_below, uniform, words
from tagmill.shards.arrays import Floats, Int32s, Int64s
from tagmill.shards.errors import ConfigError

NOISE_ROWS: Final = 1 << 14  # images at a time: what they need stays in a core's cache


@dataclass(frozen=True)
class NoiseCounts:
    """What noise did to labels. Sums over pieces of the work are those of the whole."""

    replaced: int
    merged: int  # labels that are gone because a replaced one met another of its image


def noisy(labels: Int32s, keys: Keys, frequencies: Int64s, p: float, seed: int) -> tuple[Int32s, NoiseCounts]:
    """Labels [n, K] of which each was replaced with probability p; what then stands twice in an image is merged.

    `labels` are ascending and distinct in a row, padded with -1, and so is the result; `keys` [n, 16] are the samples',
    `frequencies` [L] the images of each label. A draw depends on seed, sample and label alone. Raises ConfigError for a
    p outside [0, 1], or above 0 where fewer than two labels have images.
    """
    _check(frequencies, p)
    result, replaced, merged = labels.copy(), 0, 0
    for start in range(0, len(labels) if p else 0, NOISE_ROWS):
        piece = result[start : start + NOISE_ROWS]
        rows, columns = np.nonzero(piece >= 0)
        old = piece[rows, columns].astype(np.int64)
        new = replace(old, keys[start : start + NOISE_ROWS][rows], frequencies, p, seed)
        piece[rows, columns] = new
        changed = np.unique(rows[new != old])
        piece[changed], gone = _merged(piece[changed])
        replaced += int((new != old).sum())  # a label never replaces itself
        merged += gone
    return result, NoiseCounts(replaced, merged)


def replace(labels: Int64s, keys: Keys, frequencies: Int64s, p: float, seed: int) -> Int64s:
    """Single labels [m] of the samples `keys` [m, 16], each replaced with probability p; nothing is merged.

    The new label is found by its place in the cumulative counts of `frequencies` [L], with the old label's own interval
    skipped. Where p is above 0, two labels or more have images.
    """
    ends = np.cumsum(frequencies)
    drawn = np.flatnonzero(uniform(seed, REPLACE, keys, labels) < p)
    old = labels[drawn]
    own = frequencies[old]
    place = draw_below(words(seed, REPLACEMENT, keys[drawn], old), ends[-1] - own) if len(drawn) else old
    place += np.where(place >= ends[old] - own, own, 0)
    result = labels.copy()
    result[drawn] = np.searchsorted(ends, place, side="right")
    return result


def expected(frequencies: Int64s, p: float) -> Floats:
    """The marginal [L] of labels after noise, before merging: m_j ((1 - p) + p x sum over i != j of m_i / (1 - m_i)).

    Raises ConfigError as `noisy` does.
    """
    _check(frequencies, p)
    total = max(int(frequencies.sum()), 1)
    marginal = frequencies / total
    if not p:
        return marginal
    odds = frequencies / (total - frequencies)
    # Sums of what stands before and behind: from the whole sum a label with nearly all images could not be taken off.
    others = np.concatenate([[0.0], np.cumsum(odds)[:-1]]) + np.concatenate([np.cumsum(odds[::-1])[-2::-1], [0.0]])
    return np.asarray(marginal * ((1 - p) + p * others))


def _check(frequencies: Int64s, p: float) -> None:
    if not 0 <= p <= 1:
        raise ConfigError(f"noise {p}", "label noise", "give a share from 0 to 1")
    num_labels = int(np.count_nonzero(frequencies))
    if p and num_labels < 2:
        what = f"noise {p} where {num_labels} labels have images"
        raise ConfigError(what, "label noise", "give a vocabulary with two labels or more, or no noise")


def _merged(rows: Int32s) -> tuple[Int32s, int]:
    """Rows [n, K] ascending, distinct and padded again, and how many labels are gone."""
    ids = rows.view(np.uint32)  # -1 is the largest of these, so that padding comes last
    ids = np.sort(ids, axis=1)
    again = (ids[:, 1:] == ids[:, :-1]) & (ids[:, 1:] != np.uint32(0xFFFFFFFF))
    ids[:, 1:][again] = np.uint32(0xFFFFFFFF)
    twice = again.any(axis=1)
    ids[twice] = np.sort(ids[twice], axis=1)
    return ids.view(np.int32), int(again.sum())
