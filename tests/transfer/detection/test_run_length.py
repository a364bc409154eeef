"""Masks of COCO's format, against pycocotools and by hand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tagmill.transfer.detection.run_length import MOST_NUMBERS, MaskError, mask_of, run_lengths

MASKS = arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(0, 1)).filter(
    lambda mask: bool(mask.any())
)


def by_columns(mask: np.ndarray) -> list[int]:
    runs, last = [0], 0
    for pixel in mask.ravel(order="F").tolist():
        if pixel != last:
            runs.append(0)
            last = pixel
        runs[-1] += 1
    return runs


@given(MASKS)
def test_both_encodings_give_the_mask_and_pycocotools_bytes(mask: np.ndarray) -> None:
    h, w = mask.shape
    encoded = coco_mask.encode(np.asfortranarray(mask))["counts"]
    plain = run_lengths({"size": [h, w], "counts": by_columns(mask)}, h, w)
    packed = run_lengths({"size": [h, w], "counts": encoded.decode()}, h, w)
    assert plain == packed == encoded
    assert (mask_of(plain, h, w) == mask).all()


def test_a_mask_worked_out_by_hand() -> None:
    """3 x 2 pixels, column by column: 0 1 1 and 0 0 1: one outside, two inside, two outside, one inside."""
    runs = run_lengths({"size": [3, 2], "counts": [1, 2, 2, 1]}, 3, 2)
    assert mask_of(runs, 3, 2).tolist() == [[0, 0], [1, 0], [1, 1]]


def test_polygons_are_those_of_pycocotools_and_join() -> None:
    polygons = [[1.0, 1.0, 6.0, 1.0, 6.0, 4.0, 1.0, 4.0], [8, 8, 11, 8, 11, 11, 8, 11]]
    made = mask_of(run_lengths(polygons, 12, 14), 12, 14)
    coco = COCO()
    coco.imgs = {1: {"height": 12, "width": 14}}
    assert (made == coco.annToMask({"image_id": 1, "segmentation": polygons})).all()
    assert made[2, 3] and made[9, 9] and not made[6, 7] and made.sum() == 5 * 3 + 3 * 3


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "unknown kind"),
        ("0123", "unknown kind"),
        ([], "without pixels"),
        ([[1, 1, 2, 2]], "three points"),
        ([[1, 1, 2, 2, 3, 3, 4]], "three points"),
        ([[1, 1, 2, 2, 3, "x"]], "something else than numbers"),
        ([[1, 1, 2, 2, 3, float("nan")]], "something else than numbers"),
        ([[1, 1, 2, 2, 3, 10**400]], "something else than numbers"),
        ([[1, 1, 2, 2, 3, 1e8]], "far outside"),
        ([[0.0] * (MOST_NUMBERS + 2)], "too many points"),
        ({"size": [4, 5], "counts": [20]}, "another size"),
        ({"size": [5, 4], "counts": [20]}, "without pixels"),
        ({"size": [5, 4], "counts": [3, 16]}, "do not add up"),
        ({"size": [5, 4], "counts": [30, -10]}, "do not add up"),
        ({"size": [5, 4], "counts": [True, 19]}, "do not add up"),
        ({"size": [5, 4], "counts": {"a": 1}}, "unknown kind"),
        ({"size": [5, 4], "counts": "~"}, "damaged"),
        ({"size": [5, 4], "counts": "P"}, "damaged"),
        ({"size": [5, 4], "counts": "PPPPPPPPPP0"}, "damaged"),
        ({"size": [5, 4], "counts": "é"}, "damaged"),
    ],
)
def test_what_is_no_mask_has_a_reason(segmentation: object, reason: str) -> None:
    with pytest.raises(MaskError, match=reason):
        run_lengths(segmentation, 5, 4)


@given(st.text(alphabet=[chr(code) for code in range(45, 115)], max_size=30))
def test_no_compressed_text_reaches_pycocotools_unchecked(text: str) -> None:
    """Whatever passes covers the image exactly."""
    try:
        runs = run_lengths(json.loads(json.dumps({"size": [5, 4], "counts": text})), 5, 4)
    except MaskError:
        return
    assert mask_of(runs, 5, 4).shape == (5, 4)
