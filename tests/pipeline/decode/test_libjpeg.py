"""Tests windows by libjpeg: the bits of Pillow's whole images for every kind of JPEG, and safety with hostile bytes."""

import io
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import Normalisation
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode import libjpeg, pillow
from tagmill.pipeline.decode.resize import LEFT_FOR_FILTER, MEMORY
from tests.pipeline.corpora import picture

COMPILED = pytest.mark.skipif(not libjpeg.libjpeg_is_compiled(), reason="libjpeg.c was not compiled")

BIT_EQUAL = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")  # where torch resizes in fixed point
GUARD = 64  # values on both sides of a batch that must not be written
FLOATS = Normalisation(LoaderConfig.mean, LoaderConfig.std, torch.float32)


def jpeg_of(width: int, height: int, seed: int, mode: str = "RGB", **options: Any) -> bytes:
    """Returns noise in blocks of five pixels, with colours that change from one to the next."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (-(-height // 5), -(-width // 5), 3)).astype(np.uint8)
    pixels = np.repeat(np.repeat(small, 5, 0), 5, 1)[:height, :width]
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def crops_of(*boxes: tuple[int, int, int, int], flip: bool = False) -> Crops:
    sides = (np.array(side, np.int32) for side in zip(*boxes, strict=True))
    return Crops(*sides, np.full(len(boxes), flip))


def filled(
    fill: Any, jpegs: list[bytes], crops: Crops, size: int, how: Normalisation | None = None
) -> tuple[npt.NDArray[Any], list[int]]:
    """Fills the rows of a batch between a first and a last one that must not change."""
    count = len(jpegs)
    memory = np.full(2 * GUARD + (count + 2) * size * size * 3, 7, MEMORY[how.dtype if how else torch.uint8])
    batch = memory[GUARD:-GUARD].reshape(count + 2, size, size, 3)
    lost = fill(batch, list(range(1, count + 1)), jpegs, crops, how)
    outside = [memory[:GUARD], batch[0].ravel(), batch[-1].ravel(), memory[-GUARD:]]
    assert (np.concatenate(outside) == 7).all(), "nothing but its squares was written"
    return batch[1:-1].copy(), [row - 1 for row in lost]


def squares(
    jpeg: bytes, box: tuple[int, ...], size: int, flip: bool, how: Normalisation | None, *, offset: int, simd: bool
) -> npt.NDArray[Any]:
    """Fills one window by the compiled function itself, in the middle of three squares."""
    memory = np.full(2 * GUARD + offset + 3 * size * size * 3, 7, MEMORY[how.dtype if how else torch.uint8])
    batch = memory[GUARD + offset : -GUARD].reshape(3, size, size, 3)
    facts = np.array([[1, *box, flip]], np.int32)
    kind, scale, shift = libjpeg._output(how)
    assert libjpeg._compiled.fill(batch, size, kind, [jpeg], facts, 3, scale, shift, simd) == b"\0"
    outside = [memory[: GUARD + offset], batch[0].ravel(), batch[2].ravel(), memory[-GUARD:]]
    assert (np.concatenate(outside) == 7).all(), "nothing but its square was written"
    return batch[1].copy()


def assert_equal(found: npt.NDArray[Any], wanted: npt.NDArray[Any], how: Normalisation | None) -> None:
    """Requires the same bits if torch resizes in fixed point as resize.c does; else at most one level of difference."""
    level = 1.01 * max(how.factors()[0]) if how else 1
    assert np.abs(found.astype(float) - wanted.astype(float)).max() <= (0 if BIT_EQUAL else level)


@st.composite
def windows_of_pictures(draw: st.DrawFn) -> tuple[bytes, tuple[int, int, int, int]]:
    width, height = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    options: dict[str, Any] = {"quality": draw(st.sampled_from([30, 90, 100])), "progressive": draw(st.booleans())}
    options |= {"subsampling": draw(st.integers(0, 2)), "restart_marker_blocks": draw(st.sampled_from([0, 3]))}
    mode = draw(st.sampled_from(["RGB", "RGB", "L"]))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box = x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))
    return jpeg_of(width, height, draw(st.integers(0, 9)), mode, **options), box


@COMPILED
@settings(max_examples=300)
@given(windows_of_pictures(), st.sampled_from([7, 32, 61]), st.booleans(), st.booleans())
def test_a_window_has_the_bits_of_the_whole_image(
    made: tuple[bytes, tuple[int, int, int, int]], size: int, flip: bool, floats: bool
) -> None:
    """Its edges too: colours are interpolated from the pixels beside the window."""
    jpeg, (x, y, width, height) = made
    crops, how = crops_of((x, y, width, height), flip=flip), FLOATS if floats else None
    found, lost = filled(libjpeg.fill_with_libjpeg, [jpeg], crops, size, how)
    wanted, _ = filled(pillow.fill_with_pillow, [jpeg], crops, size, how)
    assert not lost
    if min(width, height) < 2 * LEFT_FOR_FILTER * size:  # else the decoder shrinks, which Pillow does differently
        assert_equal(found, wanted, how)


@COMPILED
@pytest.mark.parametrize("dtype", MEMORY)
@given(windows_of_pictures(), st.integers(1, 70), st.booleans(), st.integers(0, 9))
def test_vector_instructions_change_no_bit(
    dtype: torch.dtype, made: tuple[bytes, tuple[int, int, int, int]], size: int, flip: bool, offset: int
) -> None:
    """For squares `offset` values off their alignment; floats are the pixels times a scale plus a shift, rounded twice."""
    jpeg, box = made
    norm = None if dtype == torch.uint8 else Normalisation(LoaderConfig.mean, LoaderConfig.std, dtype)
    plain, fast = (squares(jpeg, box, size, flip, norm, offset=offset, simd=simd) for simd in (False, True))
    assert (plain == fast).all()
    if norm:
        scale, shift = (np.array(factor, np.float32) for factor in norm.factors())
        pixels = squares(jpeg, box, size, flip, None, offset=0, simd=True)
        assert torch.equal(torch.from_numpy(fast).view(dtype), torch.from_numpy(pixels * scale + shift).to(dtype))


@COMPILED
@pytest.mark.parametrize("side", [600, 900, 2000])
@pytest.mark.parametrize("progressive", [False, True])
def test_shrinking_in_the_decoder_stays_close_to_the_full_decode(side: int, progressive: bool) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(picture(side, side, side - 37))).save(file, "JPEG", quality=92, progressive=progressive)
    x, y, width, height = 31, 17, side - 80, side - 120
    pixels, lost = filled(libjpeg.fill_with_libjpeg, [file.getvalue()], crops_of((x, y, width, height)), 64)
    full = Image.open(io.BytesIO(file.getvalue())).crop((x, y, x + width, y + height))
    wanted = np.array(full.resize((64, 64), Image.Resampling.BILINEAR)).astype(int)
    apart = np.abs(pixels[0].astype(int) - wanted)
    assert not lost and apart.mean() < 1.5 and apart.max() < 16 and wanted.std() > 5


@COMPILED
def test_a_shrunk_window_has_the_right_position() -> None:
    """Within a fraction of the decoder's pixel, which is eight of the image's and 1.3 levels of this slope."""
    slope = np.broadcast_to((np.arange(1600) * 255 / 1599)[None, :, None], (800, 1600, 3)).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(slope).save(file, "JPEG", quality=100, subsampling=0)
    apart = []
    for x in range(100, 164):
        pixels, lost = filled(libjpeg.fill_with_libjpeg, [file.getvalue()], crops_of((x, 50, 700, 700)), 16)
        wanted = (x + (np.arange(16) + 0.5) * 700 / 16 - 0.5) * 255 / 1599
        apart.append((pixels[0, 8, :, 0] - wanted)[1:-1])
        assert not lost
    by_phase = (
        np.array(apart).reshape(8, 8, 14).mean((0, 2))
    )  # windows that begin at the same fraction of the decoder's pixel
    assert np.abs(by_phase).max() < 0.15 and np.abs(apart).max() < 1


@COMPILED
def test_four_colours_are_decoded_by_pillow_and_others_are_not() -> None:
    jpegs = [jpeg_of(60, 50, 1), jpeg_of(60, 50, 2, "CMYK"), jpeg_of(60, 50, 3)]
    crops = crops_of(*[(3, 4, 40, 41)] * 3)
    found, lost = filled(libjpeg.fill_with_libjpeg, jpegs, crops, 24, FLOATS)
    wanted, _ = filled(pillow.fill_with_pillow, jpegs, crops, 24, FLOATS)
    assert not lost
    assert_equal(found, wanted, FLOATS)
    broken = [jpegs[1][: len(jpegs[1]) // 2], jpegs[1]]
    assert filled(libjpeg.fill_with_libjpeg, broken, crops_of(*[(3, 4, 40, 41)] * 2), 24)[1] == [0], (
        "Pillow loses them too"
    )


@COMPILED
@pytest.mark.parametrize(
    "box", [(-1, 0, 10, 10), (0, -1, 10, 10), (31, 0, 10, 10), (0, 31, 10, 10), (0, 0, 0, 5), (0, 0, 5, -2)]
)
def test_a_window_outside_the_image_is_lost(box: tuple[int, int, int, int]) -> None:
    good = picture(0, 40, 40)
    pixels, lost = filled(libjpeg.fill_with_libjpeg, [good, good, good], crops_of((0, 0, 9, 9), box, (5, 5, 35, 35)), 8)
    assert lost == [1] and not pixels[1].any() and pixels[0].any() and pixels[2].any()


@COMPILED
def test_altered_bytes_lose_their_image_or_nothing() -> None:
    """The row has pixels or zeros, and the next image is complete: no state of the previous one is left in the decoder."""
    sources = [jpeg_of(90, 70, 5, progressive=kind, restart_marker_blocks=2) for kind in (False, True)]
    good, box = picture(1, 96, 80), (9, 7, 60, 50)
    whole, _ = filled(libjpeg.fill_with_libjpeg, [good], crops_of(box), 24)
    draw = np.random.default_rng(7)
    lost_of_all = 0
    for number in range(1500):
        jpeg = bytearray(sources[number % 2])
        for _ in range(draw.integers(1, 5)):
            jpeg[draw.integers(0, len(jpeg))] = draw.integers(0, 256)
        pixels, lost = filled(libjpeg.fill_with_libjpeg, [bytes(jpeg), good], crops_of(box, box), 24)
        assert 1 not in lost and (pixels[1] == whole[0]).all()
        assert 0 not in lost or not pixels[0].any()
        lost_of_all += len(lost)
    assert 50 < lost_of_all < 1400, "both kinds occurred"


@COMPILED
@pytest.mark.parametrize("end", [0, 1, 2, 20, 300, 1500])
def test_bytes_that_end_before_the_window_are_lost(end: int) -> None:
    jpeg = picture(2, 96, 80)
    assert filled(libjpeg.fill_with_libjpeg, [jpeg[:end]], crops_of((0, 0, 96, 80)), 24)[1] == [0]


def sizes_altered(jpeg: bytes, width: int, height: int) -> bytes:
    place = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2")) + 5
    return jpeg[:place] + height.to_bytes(2) + width.to_bytes(2) + jpeg[place + 4 :]


@COMPILED
def test_a_small_file_cannot_allocate_the_memory_of_a_large_image() -> None:
    """A progressive image is held whole, 6 bytes a pixel here: 65,000 pixels a side would be 25 GB."""
    jpeg = sizes_altered(jpeg_of(64, 64, 1, progressive=True, subsampling=0), 65_000, 65_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert filled(libjpeg.fill_with_libjpeg, [jpeg], crops_of((0, 0, 64, 64)), 24)[1] == [0]
    # A JPEG of a single scan is decoded row by row: pixels missing before its end marker are grey, as with Pillow and
    # DALI.
    flat = sizes_altered(jpeg_of(64, 64, 1), 65_000, 65_000)
    assert filled(libjpeg.fill_with_libjpeg, [flat], crops_of((0, 60_000, 64, 64)), 24)[1] == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@COMPILED
def test_an_image_of_very_many_scans_is_lost() -> None:
    """Each scan takes the time of all pixels, and only a few bytes."""
    jpeg = jpeg_of(64, 64, 1, progressive=True)
    begin = jpeg.index(b"\xff\xda")
    end = jpeg.index(b"\xff", begin + 14)
    while jpeg[end + 1] == 0:
        end = jpeg.index(b"\xff", end + 1)
    few, many = (jpeg[:begin] + jpeg[begin:end] * times + jpeg[end:] for times in (20, 200))
    assert filled(libjpeg.fill_with_libjpeg, [few], crops_of((0, 0, 64, 64)), 24)[1] == []
    assert filled(libjpeg.fill_with_libjpeg, [many], crops_of((0, 0, 64, 64)), 24)[1] == [0]


@COMPILED
def test_memory_does_not_grow() -> None:
    jpegs = [picture(1, 256, 200), picture(2, 300, 256)[:2000], jpeg_of(90, 99, 1, progressive=True)]
    crops = crops_of((5, 5, 200, 150), (0, 0, 290, 250), (1, 1, 88, 97))
    for round_number in range(4):
        for _ in range(150):
            filled(libjpeg.fill_with_libjpeg, jpegs, crops, 64)
        if round_number == 1:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4_000


@COMPILED
def test_invalid_arguments_raise_an_error() -> None:
    batch, good = np.zeros((2, 8, 8, 3), np.uint8), picture(0, 40, 40)
    ones, zeros = (1.0,) * 3, (0.0,) * 3
    facts = np.array([[0, 0, 0, 9, 9, 0]], np.int32)

    def fill(jpegs: Any, facts: Any, size: int = 8, kind: int = 0, left: int = 3) -> Any:
        return libjpeg._compiled.fill(batch, size, kind, jpegs, facts, left, ones, zeros, True)

    for row in (-1, 2, 1 << 30):
        with pytest.raises(ValueError, match="rows inside the batch"):
            fill([good], np.array([[row, 0, 0, 9, 9, 0]], np.int32))
    for wrong in (facts[:, :5].copy(), facts[:0], facts.astype(np.int64)):
        with pytest.raises(ValueError, match="int32"):
            fill([good], wrong)
    for size, kind, left in ((0, 0, 3), (8, 3, 3), (8, -1, 3), (70_000, 0, 3), (8, 0, 0)):
        with pytest.raises(ValueError, match="size or kind"):
            fill([good], facts, size, kind, left)
    with pytest.raises(TypeError):
        fill(["text"], facts)
    assert not batch.any() and fill([], facts[:0]) == b""
    assert fill([good], facts) == b"\0" and batch[0].any()


def test_setup_compiles_it_where_it_can() -> None:
    headers = any(Path(place, "jpeglib.h").exists() for place in ("/usr/include", "/usr/local/include"))
    assert libjpeg.libjpeg_is_compiled() or shutil.which("cc") is None or not headers
