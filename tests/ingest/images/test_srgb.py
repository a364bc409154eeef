"""Pixel modes and profiles: a profile counts by its numbers, not by its name."""

import functools
import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images import srgb
from tagmill.ingest.images.prepare import Prepared, prepare
from tagmill.ingest.images.rejected import RejectError
from tagmill.ingest.images.srgb import convert_to_srgb, is_srgb, keeps_colours, without_alpha
from tagmill.ingest.reasons import Reason


@functools.cache
def profile(name: str, gamma: float | None) -> bytes:
    """sRGB's primaries, under a name, with a gamma or, where that is None, sRGB's own curve."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    entries = [struct.unpack(">4sII", data[132 + 12 * i : 144 + 12 * i]) for i in range(count)]
    text = name.encode("utf-16-be")
    words = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    content = {tag: bytes(data[place : place + size]) for tag, place, size in entries} | {b"desc": words}
    if gamma is not None:
        curve = b"para\0\0\0\0" + struct.pack(">HHi", 0, 0, round(gamma * 65536))
        content |= dict.fromkeys([b"rTRC", b"gTRC", b"bTRC"], curve)
    table, tail, place = struct.pack(">I", len(content)), b"", 132 + 12 * len(content)
    for tag, some in content.items():
        padded = some + bytes(-len(some) % 4)
        table += struct.pack(">4sII", tag, place + len(tail), len(some))
        tail += padded
    made = bytes(data[:128]) + table + tail
    return struct.pack(">I", len(made)) + made[4:]


def stored(kind: str, image: Image.Image, **options: Any) -> tuple[int, ...]:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    made = prepare(sink.getvalue(), ImagePolicy(64, 95, 8, 1_000_000))
    assert isinstance(made, Prepared)
    found = Image.open(io.BytesIO(made.jpeg)).getpixel((9, 9))
    assert isinstance(found, tuple)
    return tuple(int(value) for value in found)


GREEN = Image.new("RGB", (100, 100), (54, 200, 55))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_the_same_colours_under_two_names_are_the_same(kind: str) -> None:
    options = {"quality": 98} if kind == "JPEG" else {}
    plain = stored(kind, GREEN, **options)
    for gamma, change in ((1.0, 60), (1.8, 6), (None, 0)):
        one, other = (
            stored(kind, GREEN, icc_profile=profile(name, gamma), **options) for name in ("linear", "sRGB-like")
        )
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 1
        assert max(abs(a - b) for a, b in zip(one, plain, strict=True)) >= change - 1
    assert stored(kind, GREEN, icc_profile=profile("sRGB like", None), **options) == plain


def test_a_profile_is_srgb_by_name_and_by_colours() -> None:
    assert is_srgb(profile("sRGB built-in", None)) and keeps_colours(profile("sRGB built-in", None))
    for name, gamma in (("sRGB", 1.0), ("sRGB", 2.2), ("sRGB", 1.8), ("another name", None)):
        assert not is_srgb(profile(name, gamma)) and not keeps_colours(profile(name, gamma))
    assert is_srgb(profile("sRGB rounded", None).replace(b"\0\0\xf6\xd6", b"\0\0\xf6\xd5"))  # white, by a unit
    assert not is_srgb(b"junk") and keeps_colours(b"junk") and keeps_colours(b"") and keeps_colours(None)


def test_a_jpeg_with_a_false_srgb_profile_is_not_passed_through() -> None:
    sink = io.BytesIO()
    GREEN.save(sink, "JPEG", quality=98, icc_profile=profile("sRGB", 1.0))
    auto = ImagePolicy(200, 98, 8, 1_000_000, reencode="auto")
    made = prepare(sink.getvalue(), auto)
    assert isinstance(made, Prepared) and Image.open(io.BytesIO(made.jpeg)).getpixel((9, 9))[0] > 120  # type: ignore[index]


def test_profiles_for_other_pixels_and_broken_ones_change_nothing() -> None:
    grey = Image.new("L", (9, 9), 77)
    for some in (profile("sRGB", 1.0), profile("any", 1.0), b"junk", b"", None):
        assert np.array_equal(np.asarray(convert_to_srgb(grey, some)), np.asarray(grey.convert("RGB")))
    assert convert_to_srgb(GREEN, None) is GREEN


def test_sixteen_bits_keep_their_upper_half_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (37, 11), dtype=np.uint16)
    image = Image.fromarray(deep)
    whole = np.asarray(without_alpha(image))
    assert np.array_equal(whole, deep >> 8)
    monkeypatch.setattr(srgb, "_BAND", 50)  # pixels: four rows and a rest
    assert np.array_equal(np.asarray(without_alpha(image)), whole)
    wide = Image.fromarray(np.array([[-5, 255, 65535, 1 << 20]], np.int32))
    assert np.asarray(without_alpha(wide)).tolist() == [[0, 0, 255, 255]]


def test_sixteen_bits_take_little_more_than_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of the whole image would take eight bytes a pixel, several of them at once."""
    asked: list[int] = []
    asarray = np.asarray

    def counted(image: Image.Image) -> Any:
        made = asarray(image)
        asked.append(made.nbytes)
        return made

    image = Image.fromarray(np.zeros((4000, 1000), np.uint16))
    monkeypatch.setattr(np, "asarray", counted)
    without_alpha(image)
    assert len(asked) > 1 and max(asked) <= 2 * srgb._BAND


def test_what_is_transparent_among_sixteen_bits_is_white() -> None:
    deep = np.full((40, 40), 0x1234, np.uint16)
    deep[:, 20:] = 0x1235  # as dark, and not transparent
    sink = io.BytesIO()
    Image.fromarray(deep).save(sink, "PNG", transparency=0x1234)
    made = prepare(sink.getvalue(), ImagePolicy(64, 95, 8, 1_000_000))
    assert isinstance(made, Prepared)
    found = np.asarray(Image.open(io.BytesIO(made.jpeg)).convert("L"))
    assert found[20, 5] > 250 and abs(int(found[20, 35]) - 0x12) < 5


def test_pixels_that_are_no_colours_are_refused() -> None:
    with pytest.raises(RejectError) as caught:
        without_alpha(Image.new("F", (9, 9)))
    assert caught.value.rejected.reason == Reason.DECODER_FAILED
