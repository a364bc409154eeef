"""The best labels of images, of the outputs of a network."""

import numpy as np
import numpy.typing as npt

from tagmill.shards import ConfigError
from tagmill.shards.arrays import Int32s
from tagmill.studies.scores.score_files import UNIT, Loss


def best_labels(logits: npt.NDArray[np.float32], top: int, loss: Loss) -> tuple[Int32s, Int32s]:
    """Returns the ids of the `top` best labels of n images, best first, and their scores in units of 2^-16: int32 [n, top]
    each. Of equal outputs the label of the lower id comes first. `logits`: [n, labels], finite. `loss`: with softmax a score
    is the label's share of the sum over all labels, with sigmoid its probability.

    Labels are ordered by their outputs and not by their rounded scores: of those that round to 0 the best are kept too. The
    arithmetic is in double precision. Raises ConfigError for fewer labels than `top`.
    """
    count, labels = logits.shape
    if not 1 <= top <= labels:
        raise ConfigError(f"the {top} best of {labels} labels", "scores", f"give 1 to {labels}")
    least = np.partition(logits, labels - top, axis=1)[:, labels - top, np.newaxis]
    rows, ids = np.nonzero(logits >= least)  # the best, and all that equal the last of them
    order = np.lexsort((ids, -logits[rows, ids], rows))
    rows, ids = rows[order], ids[order]
    firsts = np.searchsorted(rows, np.arange(count))
    chosen = ids[firsts[:, np.newaxis] + np.arange(top)]
    values = np.take_along_axis(_scores(logits, loss), chosen, axis=1)
    return chosen.astype(np.int32), np.rint(values * UNIT).astype(np.int32)


def _scores(logits: npt.NDArray[np.float32], loss: Loss) -> npt.NDArray[np.float64]:
    wide: npt.NDArray[np.float64] = logits.astype(np.float64)
    if loss == "sigmoid":
        small = np.exp(-np.abs(wide))
        small /= 1 + small  # of the outputs below zero; above it is one minus that
        return np.where(wide >= 0, 1 - small, small)
    shares: npt.NDArray[np.float64] = np.exp(wide - wide.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares
