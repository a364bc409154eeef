"""Small images: bounded in pixels and bytes, and their file."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagmill.shards.formats.report_pictures import (
    PICTURE_BYTES,
    PICTURE_SIDE,
    PICTURES,
    pictures_bytes,
    read_pictures_file,
    small_picture,
)


def jpeg(width: int, height: int, mode: str = "RGB") -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, len(mode)), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise.squeeze() if mode == "L" else noise, mode).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (3, 3000), (128, 128), (2000, 2000)])
def test_they_are_small_whatever_the_image(size: tuple[int, int], mode: str) -> None:
    if mode == "L" and 1 in size:
        return
    small = small_picture(jpeg(*size, mode))
    assert small is not None and len(small) <= PICTURE_BYTES
    image = Image.open(io.BytesIO(small))
    assert image.mode == "RGB" and max(image.size) == min(max(size), PICTURE_SIDE)


@given(st.binary(max_size=200), st.integers(0, 600))
def test_other_bytes_give_none(data: bytes, cut: int) -> None:
    assert small_picture(data) is None
    assert small_picture(jpeg(40, 30)[:cut]) is None


def test_a_file_is_read_as_it_was_written() -> None:
    rows = [{**dict.fromkeys(PICTURES.names), "key": "k", "row_id": 7, "jpeg": b"1"}]
    assert read_pictures_file(pictures_bytes(rows)) == rows
