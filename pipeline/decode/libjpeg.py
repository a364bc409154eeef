"""Fills rows of a batch with windows of JPEGs: libjpeg decodes and `resize.c` resizes them in one pass, in `libjpeg.c`.

Most of the processor time of a region decoder on a CPU is libjpeg-turbo's own (bench/loader.py, 'decode only'), and its
rows can be resized while they are in the CPU cache. JPEGs of four colours go to Pillow, and so does everything if
libjpeg.c was not compiled.
"""

import importlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import Normalisation
from tagmill.pipeline.decode.resize import KINDS, LEFT_FOR_FILTER
from tagmill.pipeline.decode.threads.turns import Turns

LEFT, LOST = 1, 2  # numbers of the outcomes in libjpeg.c
OUR_HUFFMAN = 1  # its number of huffman.c, which decodes the codes

try:
    _compiled: Any = importlib.import_module("tagmill.pipeline.decode._windows")
except ImportError:
    _compiled = None


def libjpeg_is_compiled() -> bool:
    """Returns whether libjpeg.c was compiled when the package was installed."""
    return _compiled is not None


def fill_with_libjpeg(
    batch: npt.NDArray[Any],
    rows: Sequence[int],
    jpegs: Sequence[bytes],
    crops: Crops,
    normalisation: Normalisation | None,
    turns: Turns | None = None,
) -> list[int]:
    """Fills `rows` of a batch [n, size, size, 3], of a type in resize.MEMORY, with windows of JPEGs; `jpegs` and
    `crops` have one entry for each of the rows. Without a normalisation the batch is uint8. Several threads may fill
    rows of one batch. With `turns`, threads that make the same call share its rows, and each fills those that it takes.

    Returns the rows of this call whose JPEG cannot be decoded or does not contain its window; these are zero.
    """
    if _compiled is None:
        return _fill_with_pillow(batch, rows, jpegs, crops, normalisation, turns)
    turns = turns or Turns(len(rows))
    facts = np.stack([np.array(rows), crops.x, crops.y, crops.width, crops.height, crops.flip], -1).astype(np.int32)
    kind, scale, shift = _output(normalisation)
    size = batch.shape[1]
    answer = _compiled.fill(
        batch, size, kind, list(jpegs), facts, LEFT_FOR_FILTER, scale, shift, True, True, OUR_HUFFMAN, turns.cells
    )
    became = np.frombuffer(answer, np.uint8)
    lost = [rows[number] for number in np.flatnonzero(became == LOST).tolist()]
    batch[lost] = 0
    others = np.flatnonzero(became == LEFT)
    if len(others):
        left = [rows[number] for number in others.tolist()]
        theirs = [jpegs[number] for number in others.tolist()]
        lost += _fill_with_pillow(batch, left, theirs, crops.take(others), normalisation, turns.again(others.tolist()))
    return lost


def _fill_with_pillow(
    batch: npt.NDArray[Any],
    rows: Sequence[int],
    jpegs: Sequence[bytes],
    crops: Crops,
    normalisation: Normalisation | None,
    numbers: Iterable[int] | None = None,
) -> list[int]:
    """Imports Pillow at the first JPEG that needs it: most corpora have none."""
    from tagmill.pipeline.decode.pillow import fill_with_pillow

    return fill_with_pillow(batch, rows, jpegs, crops, normalisation, numbers)


def _output(normalisation: Normalisation | None) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    """Returns what resize.c writes: the number of its kind, the scale and the shift of red, green and blue."""
    if normalisation is None:
        return KINDS[None], (1.0,) * 3, (0.0,) * 3
    return KINDS[normalisation.dtype], *normalisation.factors()
