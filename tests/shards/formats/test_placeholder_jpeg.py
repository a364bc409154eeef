"""Tests the placeholder of a purged sample: every size, and every decoder accepts it."""

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagmill.shards.formats.placeholder_jpeg import COMMENT_MOST, SMALLEST, is_placeholder, no_facts, placeholder_jpeg

# Around the sizes at which one more comment is needed, and those that leave too few bytes for one.
SIZES = [SMALLEST + more for more in (*range(12), 400, 19_859, *range(COMMENT_MOST - 5, COMMENT_MOST + 9))]
SIZES += [SMALLEST + 2 * COMMENT_MOST + more for more in range(-3, 6)] + [1_000_003]


@pytest.mark.parametrize("size", SIZES)
def test_pillow_accepts_every_size(size: int) -> None:
    data = placeholder_jpeg(size)
    assert len(data) == size and data.endswith(b"\xff\xd9") and is_placeholder(data)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert (image.format, image.size, image.mode, image.getpixel((0, 0))) == ("JPEG", (1, 1), "L", 128)
        assert "progressive" not in image.info


def test_dali_accepts_every_size() -> None:
    fn = pytest.importorskip("nvidia.dali.fn")
    from nvidia.dali import pipeline_def, types

    encoded = [np.frombuffer(placeholder_jpeg(size), np.uint8) for size in SIZES]

    @pipeline_def(batch_size=len(SIZES), num_threads=1, device_id=None)
    def decoded() -> Any:
        jpegs = fn.external_source(lambda: encoded)
        whole = fn.decoders.image(jpegs, device="cpu", output_type=types.RGB)
        return whole, fn.decoders.image_random_crop(jpegs, device="cpu", output_type=types.RGB)

    pipeline = decoded()
    pipeline.build()
    for images in pipeline.run():
        assert all(np.array(image).tolist() == [[[128] * 3]] for image in images)


@given(st.integers(0, SMALLEST - 1))
def test_sizes_too_small_for_a_jpeg_are_recognised(size: int) -> None:
    data = placeholder_jpeg(size)
    assert len(data) == size and is_placeholder(data) == bool(size)
    assert not is_placeholder(bytes(size))  # unwritten ranges of a file read as zeros


@given(st.integers(SMALLEST, 200_000), st.data())
def test_one_other_byte_is_another_image(size: int, data: st.DataObject) -> None:
    whole = bytearray(placeholder_jpeg(size))
    assert len(whole) == size
    place = data.draw(st.integers(0, size - 1))
    whole[place] ^= 1
    assert not is_placeholder(bytes(whole))


def test_no_facts() -> None:
    assert json.loads(no_facts(300)) == {} and len(no_facts(300)) == 300 and no_facts(2) == b"{}"
