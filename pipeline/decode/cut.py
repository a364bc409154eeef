"""Cuts windows from the bytes of JPEGs with restart markers, for decoders that decode whole images.

The compiled part is `cut.c`; `libjpeg.c` calls it itself for the windows that it decodes.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tagmill.pipeline.augment.draws import Crops

UNSCALED = 8  # pixels that a decoder makes of eight of the image's

try:
    _compiled: Any = importlib.import_module("tagmill.pipeline.decode._windows")
except ImportError:
    _compiled = None


def cut_windows(jpegs: Sequence[bytes | None], crops: Crops) -> tuple[list[bytes | None], Crops]:
    """Returns for each JPEG a smaller one that holds the window of its crop, and the crops moved to their places there.

    The segments between restart markers that cover a window, and the pixels beside it from which its colours are
    interpolated, are copied without decoding them. Decoded whole at full size, the window has the bits that it has in
    the whole image. A JPEG comes back as the same object, with its crop unchanged, where it has no usable markers, is
    anything but an 8-bit image of one sequential scan, is altered before the window's end, does not contain the window,
    or is needed whole; None stays None. The GIL is released; nothing is cut where the C code was not compiled.
    """
    if _compiled is None:
        return list(jpegs), crops
    boxes = np.stack([crops.x, crops.y, crops.width, crops.height], -1).astype(np.int32)
    found = _compiled.cut_windows(list(jpegs), boxes, UNSCALED)
    x, y, width, height = np.ascontiguousarray(boxes.T)
    cuts = [jpeg if cut is None else cut for jpeg, cut in zip(jpegs, found, strict=True)]
    return cuts, Crops(x, y, width, height, crops.flip)
