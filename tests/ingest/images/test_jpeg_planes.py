"""JPEGs downscaled in their planes: averages equal the formula, and files that are not plain are declined."""

import io
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tagmill.ingest.images import jpeg_planes
from tagmill.ingest.images.jpeg_planes import PLANES_THUMBNAIL, downscale, plain_size

compiled = pytest.mark.skipif(not jpeg_planes.is_compiled(), reason="jpeg_planes.c was not compiled")
SAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]
Plane = npt.NDArray[np.int64]


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with a little noise."""
    chance = np.random.default_rng(seed)
    few = Image.fromarray(chance.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    noise = chance.integers(-6, 7, (height, width, 3))
    smooth = np.asarray(few.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int64)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "JPEG", **{"quality": 92, **options})
    return sink.getvalue()


def of_size(body: bytes, target: tuple[int, int], fraction: int, quality: int) -> tuple[bytes, bytes] | None:
    """Calls `downscale` with the size in the file's header."""
    try:
        size = Image.open(io.BytesIO(body)).size
    except (OSError, Image.DecompressionBombError):
        size = (200, 150)
    return downscale(body, size, target, fraction, quality)


def luma_of(jpeg: bytes) -> Plane:
    """Decodes the luma plane of a JPEG."""
    image = Image.open(io.BytesIO(jpeg))
    image.draft("YCbCr", None)
    return np.asarray(image)[..., 0].astype(np.int64)


def boxed(plane: Plane, width: int, height: int) -> Plane:
    """Returns the average of the boxes between the rounded multiples of the scale."""
    down, across = (
        (np.arange(wanted) * have / wanted + 0.5).astype(int)
        for wanted, have in zip((height, width), plane.shape, strict=True)
    )
    sums = np.add.reduceat(np.add.reduceat(plane, down, 0), across, 1)
    areas = np.outer(*(np.diff(cuts, append=n) for cuts, n in zip((down, across), plane.shape, strict=True)))
    return (sums / areas + 0.5).astype(np.int64)


def made(body: bytes, size: tuple[int, int], fraction: int = 1, quality: int = 100) -> tuple[Image.Image, Plane]:
    found = of_size(body, size, fraction, quality)
    assert found is not None
    image = Image.open(io.BytesIO(found[0]))
    assert image.size == size and image.mode == "RGB"
    return image, np.frombuffer(found[1], np.uint8).reshape(PLANES_THUMBNAIL, PLANES_THUMBNAIL).astype(np.int64)


@compiled
@settings(deadline=None, max_examples=150)
@given(
    st.tuples(st.integers(64, 300), st.integers(64, 300)),
    st.tuples(st.floats(0.2, 1), st.floats(0.2, 1)),
    st.sampled_from(SAMPLINGS),
    st.booleans(),
    st.integers(0, 9),
)
@example((67, 64), (0.5, 1.0), "4:2:0", False, 9)
def test_averages(
    size: tuple[int, int], shares: tuple[float, float], sampling: str, progressive: bool, seed: int
) -> None:
    body = encoded(picture(*size, seed), subsampling=sampling, progressive=progressive)
    width, height = (max(64, round(side * share)) for side, share in zip(size, shares, strict=True))
    luma = luma_of(body)
    found = of_size(body, (width, height), 1, 100)
    if found is None:  # chroma at half size cannot be averaged where the target is hardly smaller
        assert sampling != "4:4:4" and max(width / size[0], height / size[1]) > 0.9
        return
    image, thumbnail = made(body, (width, height))
    wanted = boxed(luma, width, height)
    assert abs(thumbnail - boxed(wanted, PLANES_THUMBNAIL, PLANES_THUMBNAIL)).max() <= 1  # a tie of the division
    assert abs(luma_of(found[0]) - wanted).max() <= 4  # what JPEG of quality 100 costs
    # And its colours are those of the way over RGB.
    usual = Image.open(io.BytesIO(body)).resize((width, height), Image.Resampling.BOX)
    apart = np.asarray(image).astype(np.int64) - np.asarray(usual)
    # Few pixels of noise with subsampled chroma differ more. The largest of 42,000 drawn images: 1.62 below 96 pixels a side,
    # 0.92 from there on; 0.45 in 4:4:4.
    offset = 2 if sampling != "4:4:4" and min(size) < 96 else 1
    assert abs(apart).mean() < 6 and abs(apart.mean()) < offset


@compiled
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("fraction", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(1024, 768), (1021, 771), (1030, 777)])
def test_fractions(sampling: str, fraction: int, size: tuple[int, int]) -> None:
    """Of a side that is no multiple of the fraction the last sample is a part of one."""
    body = encoded(picture(*size), subsampling=sampling)
    image, thumbnail = made(body, (88, 66), fraction)
    usual = Image.open(io.BytesIO(body)).resize((88, 66), Image.Resampling.BOX)
    apart = np.asarray(image).astype(np.int64) - np.asarray(usual)
    assert abs(apart).mean() < 4 and abs(thumbnail - boxed(luma_of(body), 64, 64)).mean() < 4


@compiled
def test_restart_markers_other_tables_and_the_coarsest_quality() -> None:
    image = picture(200, 150)
    whole = np.asarray(image.resize((100, 75), Image.Resampling.BOX)).astype(np.int64)
    for body in (encoded(image, restart_marker_blocks=3), encoded(image, optimize=True), encoded(image, quality=3)):
        found = np.asarray(made(body, (100, 75))[0]).astype(np.int64)
        assert abs(found - whole).mean() < 20


@compiled
def test_the_output_is_plain_and_the_same_every_time() -> None:
    body = encoded(picture(300, 200), comment=b"by me", icc_profile=b"no profile", dpi=(300, 300), quality=80)
    found = of_size(body, (150, 100), 1, 90)
    assert found is not None and found == of_size(body, (150, 100), 1, 90)
    stored = Image.open(io.BytesIO(found[0]))
    assert not {"progressive", "exif", "icc_profile", "comment", "adobe"} & set(stored.info)
    assert [layer[1:3] for layer in stored.layer] == [(2, 2), (1, 1), (1, 1)]  # type: ignore[attr-defined]
    usual = encoded(picture(150, 100), quality=90)
    assert stored.quantization == Image.open(io.BytesIO(usual)).quantization  # type: ignore[attr-defined]


@compiled
def test_what_is_not_plain_is_declined() -> None:
    image = picture(200, 150)
    whole = encoded(image)
    declined = {
        "grey": encoded(image.convert("L")),
        "four inks": encoded(image.convert("CMYK")),
        "kept in RGB": encoded(image, keep_rgb=True),
        "another format": b"\x89PNG\r\n\x1a\n",
        "nothing": b"",
        "cut": whole[: len(whole) // 2],
        "without its end": whole[:-2],
        "cut, with an end": whole[: len(whole) // 2] + b"\xff\xd9",
        "a header alone": whole[: whole.index(b"\xff\xda")],
    }
    for name, body in declined.items():
        assert of_size(body, (100, 75), 1, 90) is None, name
    for size in ((201, 150), (200, 151), (63, 100), (100, 63)):  # larger than it is, or than the thumbnail allows
        assert of_size(whole, size, 1, 90) is None
    assert of_size(whole, (100, 75), 2, 90) is not None
    assert of_size(whole, (101, 75), 2, 90) is None  # of half the size there is less


@compiled
def test_invalid_arguments_are_errors() -> None:
    whole = encoded(picture(200, 150))
    for size, fraction, quality in (((100, 75), 0, 90), ((100, 75), 9, 90), ((100, 75), 1, 0), ((1 << 20, 75), 1, 90)):
        with pytest.raises(ValueError, match="samples at 1/"):
            of_size(whole, size, fraction, quality)


@compiled
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_altered_bytes_give_a_picture_or_none(data: st.DataObject) -> None:
    whole = bytearray(encoded(picture(90, 80), progressive=data.draw(st.booleans()), restart_marker_blocks=4))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = of_size(bytes(whole[: data.draw(st.integers(0, len(whole)))]), (72, 64), 1, 90)
    assert found is None or Image.open(io.BytesIO(found[0])).size == (72, 64)


@compiled
def test_memory_does_not_grow() -> None:
    """Neither with images that are made nor with those that are declined half-way."""
    whole = encoded(picture(1200, 900), subsampling=0)
    bodies = [whole, whole[: len(whole) // 2], encoded(picture(200, 150).convert("L")), b"none"]

    def some() -> int:
        for _ in range(60):
            for body in bodies:
                of_size(body, (600, 450), 1, 90)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    some()
    before = some()
    assert some() - before < 4096  # KiB; one picture's planes and result take more than a hundred, 240 of them are made


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (2 + len(content)).to_bytes(2) + content


@compiled
@pytest.mark.parametrize("progressive", [False, True])
def test_the_size_is_read_from_a_plain_header(progressive: bool) -> None:
    whole = encoded(picture(200, 150), progressive=progressive, comment=b"by me", dpi=(72, 72))
    assert plain_size(whole) == (200, 150)
    more = {
        "EXIF": (0xE1, b"Exif\0\0"),
        "XMP": (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
        "profile": (0xE2, b"ICC_PROFILE\0"),
    }
    for name, (marker, content) in more.items():
        assert plain_size(whole[:2] + segment(marker, content) + whole[2:]) is None, name
    many = b"".join(segment(0xFE, b"") for _ in range(60))
    assert plain_size(whole[:2] + many[:80] + whole[2:]) == (200, 150)
    assert plain_size(whole[:2] + many + whole[2:]) is None  # a header of thousands of segments would take its time
    for body in (
        b"",
        b"\xff",
        b"\xff\xd8",
        b"\xff\xd8\xff",
        b"\x89PNG",
        whole[:2] + b"\0" + whole[2:],
        whole[:-1][:30],
    ):
        assert plain_size(body) is None
    assert plain_size(whole[:2] + segment(0xFE, b"")[:2] + b"\0\1" + whole[2:]) is None  # shorter than its own length


@given(st.binary(max_size=80))
def test_any_header_gives_a_size_or_none(some: bytes) -> None:
    for body in (some, b"\xff\xd8\xff" + some):
        size = plain_size(body)
        assert size is None or len(size) == 2


def test_without_the_compiled_part_everything_is_declined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_planes, "_compiled", None)
    assert not jpeg_planes.is_compiled() and of_size(encoded(picture(200, 150)), (100, 75), 1, 90) is None
    assert plain_size(encoded(picture(200, 150))) is None


def test_setup_compiles_it_where_it_can() -> None:
    headers = any(Path(place, "jpeglib.h").exists() for place in ("/usr/include", "/usr/local/include"))
    assert jpeg_planes.is_compiled() or shutil.which("cc") is None or not headers
