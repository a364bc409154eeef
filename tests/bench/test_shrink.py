"""Tests the comparison of decoders that shrink with a full decode: it finds differences where there are some, and the rule."""

import io

import numpy as np
import pytest
from PIL import Image

from tagmill.bench import shrink
from tagmill.pipeline.decode import libjpeg

COMPILED = pytest.mark.skipif(not libjpeg.libjpeg_is_compiled(), reason="libjpeg.c was not compiled")


def jpeg_of(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


def test_a_window_is_the_ratio_times_the_output_and_inside_the_image() -> None:
    jpeg = jpeg_of(np.zeros((130, 200, 3), np.uint8))
    for ratio in (2, 5, 12):
        places = set()
        for number in range(20):
            size, (x, y, width, height) = shrink.window_of(jpeg, ratio, number)
            assert width == height == ratio * size and 110 - ratio < width <= 110
            assert x >= 0 and y >= 0 and x + width <= 200 and y + height <= 130
            places.add((x, y))
        assert len(places) > 10


@COMPILED
def test_detail_differs_where_too_little_is_left_for_the_filter() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    flat = np.full((300, 300, 3), 90, np.uint8)
    little, enough = (shrink.compared([jpeg_of(noise), jpeg_of(flat)], ratio, 2, 1) for ratio in (2, 6))
    assert little["median"] > 3 * enough["median"] > 0  # type: ignore[operator]
    assert (little["rule"], enough["rule"]) == (False, True)
    assert little["of the worst image"] == pytest.approx(2 * little["median"], rel=0.05), "the flat one has none"  # type: ignore[operator]
    assert shrink.compared([jpeg_of(flat)], 4, 4, 2)["largest"] == 0
