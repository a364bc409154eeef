"""Masks of COCO's format: polygons and run lengths, checked before pycocotools sees them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

MOST_NUMBERS = 200_000
"""Coordinates or runs of one mask."""

_BITS = 5  # of a character of compressed run lengths
_MOST_CHARACTERS = 7  # of one number: 35 bits


class MaskError(Exception):
    """A mask that is not valid; its text is the reason, in a few words."""


def run_lengths(segmentation: object, height: int, width: int) -> bytes:
    """Returns COCO's compressed run lengths of a mask that is given as polygons, as run lengths or as compressed ones.
    Polygons are rasterised as pycocotools does. Raises MaskError for a mask that is not valid, has another size than
    the image, or no pixels."""
    if isinstance(segmentation, Mapping):
        counts = _counts(segmentation, height, width)
        made: Any = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    elif isinstance(segmentation, Sequence) and not isinstance(segmentation, str):
        made = coco_mask.merge(coco_mask.frPyObjects(_polygons(segmentation, height, width), height, width))
    else:
        raise MaskError("a mask of an unknown kind")
    if not int(coco_mask.area(made)):
        raise MaskError("a mask without pixels")
    return bytes(made["counts"])


def mask_of(runs: bytes, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Returns the mask of `run_lengths`: [height, width], 1 inside."""
    found: npt.NDArray[np.uint8] = coco_mask.decode({"size": [height, width], "counts": runs})
    return found


def _polygons(polygons: Sequence[object], height: int, width: int) -> list[list[float]]:
    if not polygons:
        raise MaskError("a mask without pixels")
    found, numbers = list[list[float]](), 0
    for each in polygons:
        if not isinstance(each, list) or len(each) < 6 or len(each) % 2:
            raise MaskError("a polygon without three points")
        numbers += len(each)
        if numbers > MOST_NUMBERS:
            raise MaskError("a mask of too many points")
        points = [_number(value) for value in each]
        # pycocotools needs memory in proportion to the length of each edge.
        if not all(-width <= x <= 2 * width and -height <= y <= 2 * height for x, y in zip(points[::2], points[1::2])):
            raise MaskError("a polygon far outside the image")
        found.append(points)
    return found


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e9 or not math.isfinite(value):
        raise MaskError("a polygon of something else than numbers")
    return float(value)


def _counts(segmentation: Mapping[Any, Any], height: int, width: int) -> list[int]:
    """Returns the lengths of runs, column by column, the first of pixels outside."""
    if segmentation.get("size") != [height, width]:
        raise MaskError("a mask of another size than the image")
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = _decompressed(counts)
    if not isinstance(counts, list) or len(counts) > MOST_NUMBERS:
        raise MaskError("run lengths of an unknown kind, or too many")
    if not all(type(each) is int and each >= 0 for each in counts) or sum(counts) != height * width:
        raise MaskError("run lengths that do not add up to the image")
    return counts


def _decompressed(text: str) -> list[int]:
    """Returns the numbers of COCO's compressed run lengths: five bits a character, lowest first, in two's complement; from
    the fourth on, differences from the number two places before."""
    if len(text) > _MOST_CHARACTERS * MOST_NUMBERS:
        raise MaskError("run lengths of an unknown kind, or too many")
    found, value, place = list[int](), 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or place == _MOST_CHARACTERS:
            raise MaskError("compressed run lengths that are damaged")
        value |= (code & 31) << (_BITS * place)
        place += 1
        if code & 32:
            continue
        if code & 16:
            value -= 1 << (_BITS * place)
        found.append(value + found[-2] if len(found) > 2 else value)
        value = place = 0
    if place:
        raise MaskError("compressed run lengths that are damaged")
    return found
