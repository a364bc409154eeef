import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from tagmill.demo.draw import draw
from tagmill.demo.encode import (
    CONTENT_TYPES,
    ENCODERS,
    EXTENSIONS,
    ORIENTATION_TAG,
    apology,
    jpeg,
    jpeg_rotated,
    near_copy,
    truncated,
)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return draw(np.random.default_rng(12), "sailboat")


def difference(one: Image.Image, other: Image.Image) -> float:
    small = [np.asarray(image.convert("RGB").resize((32, 32)), dtype=np.float64) for image in (one, other)]
    return float(np.abs(small[0] - small[1]).mean())


@pytest.mark.parametrize("name", ENCODERS)
def test_every_format_decodes_to_the_image_and_has_its_type(name: str, picture: Image.Image) -> None:
    content = ENCODERS[name](picture, np.random.default_rng(1))
    assert content == ENCODERS[name](picture, np.random.default_rng(1))
    kind = name.split("_")[0]
    with Image.open(io.BytesIO(content)) as image:
        assert Image.MIME[str(image.format)] == CONTENT_TYPES[kind] or name == "png_animated"
        assert kind in EXTENSIONS
        assert (getattr(image, "n_frames", 1) > 1) == name.endswith("animated")
        assert (image.mode == "CMYK") == (name == "jpeg_cmyk")
        assert image.mode == "RGBA" or name != "png_alpha"
        if name == "png_alpha":
            assert image.getchannel("A").getextrema() == (0, 255)
        else:
            assert difference(ImageOps.exif_transpose(image), picture) < 12


def test_exif_orientation_sets_rotated_pixels_upright(picture: Image.Image) -> None:
    seen = set()
    for seed in range(12):
        with Image.open(io.BytesIO(jpeg_rotated(picture, np.random.default_rng(seed)))) as image:
            seen.add(image.getexif()[ORIENTATION_TAG])
            assert difference(image, picture) > 15
            upright = ImageOps.exif_transpose(image)
            assert upright.size == picture.size and difference(upright, picture) < 3
    assert seen == {3, 6, 8}


def test_a_near_copy_is_near_and_not_equal(picture: Image.Image) -> None:
    source = jpeg(picture, np.random.default_rng(0))
    for seed in range(5):
        copy = near_copy(source, np.random.default_rng(seed))
        with Image.open(io.BytesIO(copy)) as image:
            assert copy != source and image.size != picture.size
            assert difference(image, picture) < 12


def test_a_truncated_file_does_not_decode(picture: Image.Image) -> None:
    source = jpeg(picture, np.random.default_rng(0))
    cut = truncated(source, np.random.default_rng(3))
    assert source.startswith(cut) and 0.2 < len(cut) / len(source) < 0.8
    with Image.open(io.BytesIO(cut)) as image, pytest.raises(OSError, match="truncated"):
        image.load()


def test_the_apology_is_no_image() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(apology()))
