"""Restart markers: where they are, that they change no pixel, what they cost, and what stays as it came."""

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images import jpeg_planes
from tagmill.ingest.images.jpeg_planes import recode
from tagmill.ingest.images.passthrough import without_metadata
from tagmill.ingest.images.prepare import Prepared, prepare
from tagmill.ingest.images.restart_markers import MOST_GROWTH, interval_of, with_restart_markers

compiled = pytest.mark.skipif(not jpeg_planes.is_compiled(), reason="jpeg_recode.c was not compiled")
Pixels = npt.NDArray[np.uint8]


def photograph(width: int, height: int, seed: int = 1) -> Image.Image:
    """Smooth colours with some noise, so that blocks differ and have both DC and AC coefficients."""
    dice = np.random.default_rng(seed)
    coarse = Image.fromarray(dice.integers(0, 256, (7, 9, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    noisy = np.asarray(coarse, np.int16) + dice.integers(-12, 13, (height, width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def pixels(jpeg: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(jpeg)))


def segments(jpeg: bytes) -> dict[int, list[bytes]]:
    """Contents of the header's segments by marker, and at 0 the coded pixels."""
    found: dict[int, list[bytes]] = {}
    offset = 2
    while True:
        marker, size = jpeg[offset + 1], int.from_bytes(jpeg[offset + 2 : offset + 4])
        found.setdefault(marker, []).append(jpeg[offset + 4 : offset + 2 + size])
        offset += 2 + size
        if marker == 0xDA:
            return found | {0: [jpeg[offset:-2]]}


def interval_in(jpeg: bytes) -> int:
    """What a JPEG says of its interval; its markers must be as many as that makes, and numbered from 0 to 7."""
    found = segments(jpeg)
    interval = int.from_bytes(found.get(0xDD, [b"\0\0"])[-1])
    (frame,) = found[0xC0]
    side = 8 * (frame[7] >> 4)
    across, down = (-(-int.from_bytes(frame[at : at + 2]) // side) for at in (3, 1))
    marks = [mark[0] & 7 for mark in re.findall(rb"\xff([\xd0-\xd7])", found[0][0])]
    assert marks == [number % 8 for number in range((across * down - 1) // interval if interval else 0)]
    assert not interval or across % interval == 0
    return interval


# ---- The interval
@pytest.mark.parametrize(
    ("size", "mcu", "interval"),
    [
        ((352, 256), 16, 2),  # 22 MCUs of a row: 2 or 11
        ((384, 256), 16, 3),
        ((256, 352), 16, 2),
        ((256, 384), 16, 4),  # rows of a tall picture have fewer MCUs of a crop in vain
        ((400, 256), 16, 5),  # 25: 5 or one by one
        ((272, 256), 16, 1),  # 17 and 23 have no divisor
        ((368, 256), 16, 1),
        ((361, 256), 16, 1),
        ((352, 256), 8, 4),  # 44 MCUs of a row at 4:4:4
        ((4000, 3000), 16, 10),
        ((1, 1), 16, 1),
        ((16, 65_500), 16, 1),
    ],
)
def test_the_interval_of_a_size(size: tuple[int, int], mcu: int, interval: int) -> None:
    assert interval_of("auto", size, mcu) == interval


sides = st.integers(1, 65_500)


@given(sides, sides, st.sampled_from([8, 16]), st.just("auto") | st.integers(0, 65_535))
@example(65_500, 65_500, 8, "auto")
def test_an_interval_divides_the_mcus_of_a_row(width: int, height: int, mcu: int, asked: Any) -> None:
    across = -(-width // mcu)
    interval = interval_of(asked, (width, height), mcu)
    if asked == 0:
        assert interval == 0
        return
    assert interval >= 1 and across % interval == 0
    others = [number for number in range(1, across + 1) if across % number == 0]
    if asked == "auto":
        longer = max(across, -(-height // mcu))

        def price(number: int) -> float:
            return 3 * number / longer + 1 / number

        assert price(interval) <= min(map(price, others)) + 1e-9
    else:
        assert interval == max(number for number in others if number <= asked)


# ---- Pictures that are encoded
SOURCES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "in planes": (encoded(photograph(500, 375), quality=92), {"image_size": 128}),
    "over RGB, small": (encoded(photograph(300, 120), quality=92), {"image_size": 48}),
    "over RGB, a PNG": (encoded(photograph(260, 200), "PNG"), {"image_size": 96}),
    "cropped": (encoded(photograph(330, 250), quality=92), {"image_size": 128, "resize": "center_crop"}),
    "with a border": (encoded(photograph(330, 250), quality=92), {"image_size": 128, "resize": "border"}),
    "enlarged": (encoded(photograph(90, 70), quality=92), {"image_size": 100, "only_if_bigger": False}),
    "size kept": (encoded(photograph(211, 133), quality=92), {"image_size": 300}),
    "as it came": (encoded(photograph(211, 133), quality=92), {"image_size": 300, "reencode": "auto"}),
    "as it came, 4:4:4": (
        encoded(photograph(208, 133), quality=92, subsampling="4:4:4"),
        {"image_size": 300, "reencode": "auto"},
    ),
}


def prepared(body: bytes, restart_interval: Any, **settings: Any) -> Prepared:
    policy = {"quality": 90, "min_side": 8, "max_pixels": 10**6, "restart_interval": restart_interval, **settings}
    made = prepare(body, ImagePolicy(**policy))
    assert isinstance(made, Prepared)
    return made


@compiled
@pytest.mark.parametrize("name", SOURCES)
def test_markers_change_neither_pixels_nor_what_fingerprints_are_made_of(name: str) -> None:
    body, settings = SOURCES[name]
    plain = prepared(body, 0, **settings)
    assert interval_in(plain.jpeg) == 0 and 0xDD not in segments(plain.jpeg)
    for asked in ("auto", 1, 3, 65_535):
        marked = prepared(body, asked, **settings)
        mcu = 8 if "4:4:4" in name else 16
        assert interval_in(marked.jpeg) == interval_of(asked, (marked.width, marked.height), mcu) > 0
        assert np.array_equal(pixels(marked.jpeg), pixels(plain.jpeg))
        assert np.array_equal(marked.thumbnail, plain.thumbnail)
        assert (marked.width, marked.height) == (plain.width, plain.height)
        assert segments(marked.jpeg)[0xDB] == segments(plain.jpeg)[0xDB]
        assert segments(marked.jpeg)[0xC0] == segments(plain.jpeg)[0xC0]


@pytest.mark.parametrize("name", SOURCES)
def test_without_markers_the_bytes_are_those_of_plain_encoding(name: str) -> None:
    """The bytes that a marker costs are all in the scan and its DRI segment; Huffman tables of an encoder stay."""
    body, settings = SOURCES[name]
    plain = segments(prepared(body, 0, **settings).jpeg)
    if "as it came" in name:
        assert prepared(body, 0, **settings).jpeg == without_metadata(body)
        return
    marked = segments(prepared(body, "auto", **settings).jpeg)
    assert {marker for marker in marked if marked[marker] != plain.get(marker)} == {0, 0xDD}


def test_nothing_is_marked_under_never() -> None:
    body = SOURCES["as it came"][0]
    policy = ImagePolicy(300, 90, 8, 10**6, resize="no", reencode="never")
    made = prepare(body, policy)
    assert isinstance(made, Prepared) and made.jpeg == without_metadata(body)


# ---- Pictures that are passed through
@compiled
@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 100),
    st.sampled_from(["4:2:0", "4:4:4"]),
    st.booleans(),
    st.just("auto") | st.integers(1, 12),
    st.integers(0, 7),
    st.integers(0, 1 << 32),
)
def test_a_recoded_picture_has_the_same_pixels(
    width: int, height: int, quality: int, sampling: str, optimize: bool, asked: Any, own: int, seed: int
) -> None:
    """Also where the picture has markers of its own, which may be of no use."""
    image = photograph(width, height, seed)
    body = encoded(image, quality=quality, subsampling=sampling, optimize=optimize, restart_marker_blocks=own)
    passed = without_metadata(body)
    assert passed is not None
    mcu = 8 if sampling == "4:4:4" else 16
    interval = interval_of(asked, (width, height), mcu)
    recoded = recode(passed, (width, height), interval)
    assert recoded is not None and interval_in(recoded) == interval
    assert np.array_equal(pixels(recoded), pixels(body))
    assert segments(recoded)[0xDB] == segments(passed)[0xDB]
    assert without_metadata(recoded) == recoded
    bare = recode(passed, (width, height), 65_535)  # no marker, but a segment of 6 bytes that says so
    assert bare is not None and (own or optimize or len(bare) <= len(passed) + 6)

    kept = with_restart_markers(passed, (width, height), asked)
    if (own and -(-width // mcu) % own == 0) or len(recoded) > len(passed) * (1 + MOST_GROWTH):
        assert kept == passed
    else:
        assert kept == recoded


def photo_like(interval: int = 0, **options: Any) -> bytes:
    body = encoded(photograph(160, 96), quality=90, restart_marker_blocks=interval, **options)
    kept = without_metadata(body)
    assert kept is not None
    return kept


@compiled
def test_markers_that_divide_a_row_stay_and_others_are_replaced() -> None:
    """160 pixels are 10 MCUs."""
    size = (160, 96)
    for usable in (1, 2, 5, 10):
        body = photo_like(usable)
        assert with_restart_markers(body, size, "auto") == body
    for useless in (3, 7, 20):
        assert interval_in(with_restart_markers(photo_like(useless), size, "auto")) == interval_of("auto", size) == 2
    assert with_restart_markers(photo_like(7), size, 0) == photo_like(7)


@compiled
def test_what_would_grow_too_much_stays_as_it_came() -> None:
    """A picture whose Huffman tables are its own already, with few bytes an MCU."""
    flat = encoded(photograph(160, 96).resize((640, 640)), quality=5, optimize=True)
    passed = without_metadata(flat)
    assert passed is not None
    made = recode(passed, (640, 640), 1)
    assert made is not None and len(made) > len(passed) * 1.03
    assert with_restart_markers(passed, (640, 640), 1) == passed
    rows = with_restart_markers(passed, (640, 640), 40)
    assert rows != passed and interval_in(rows) == 40 and np.array_equal(pixels(rows), pixels(flat))


def damaged(jpeg: bytes) -> bytes:
    """Ones in place of coded pixels, which are no code of any block; no marker among them."""
    start = jpeg.index(b"\xff\xda") + 200
    return jpeg[:start] + b"\xff\x00" * 8 + jpeg[start + 16 :]


@compiled
@pytest.mark.parametrize(
    ("change", "size"),
    [
        (lambda body: body, (160, 97)),
        (lambda body: body, (96, 160)),
        (damaged, (160, 96)),
        (lambda body: body[:-40] + b"\xff\xd9", (160, 96)),
        (lambda body: body[:-2] + b"\1\2\3\4\xff\xd9", (160, 96)),
        (lambda body: body[:100], (160, 96)),
        (lambda body: b"", (160, 96)),
        (lambda body: encoded(photograph(160, 96), progressive=True), (160, 96)),
        (lambda body: encoded(photograph(160, 96).convert("L")), (160, 96)),
        (lambda body: encoded(photograph(160, 96).convert("CMYK")), (160, 96)),
    ],
    ids=[
        "another size",
        "another shape",
        "damaged",
        "cut",
        "too long",
        "a header",
        "empty",
        "progressive",
        "grey",
        "CMYK",
    ],
)
def test_what_is_not_plain_is_declined(change: Callable[[bytes], bytes], size: tuple[int, int]) -> None:
    assert recode(photo_like(), (160, 96), 2) is not None
    assert recode(change(photo_like()), size, 2) is None


@compiled
def test_damage_is_stored_as_it_came() -> None:
    body = damaged(photo_like())
    made = prepare(body, ImagePolicy(300, 90, 8, 10**6, reencode="auto", restart_interval="auto"))
    assert isinstance(made, Prepared) and made.jpeg == body


@compiled
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_altered_files_are_declined_or_keep_their_pixels(data: st.DataObject) -> None:
    body = bytearray(photo_like(data.draw(st.sampled_from([0, 3, 5]))))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    made = recode(bytes(body), (160, 96), data.draw(st.sampled_from([1, 2, 10, 65_535])))
    if made is not None:
        assert np.array_equal(pixels(made), pixels(bytes(body)))


@compiled
@pytest.mark.parametrize("interval", [0, -1, 65_536, 1 << 30])
def test_no_interval_is_written_that_a_file_cannot_say(interval: int) -> None:
    with pytest.raises(ValueError, match="restart interval"):
        recode(photo_like(), (160, 96), interval)


def test_without_the_compiled_part_files_stay_as_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_planes, "_compiled", None)
    assert recode(photo_like(), (160, 96), 2) is None
    assert with_restart_markers(photo_like(), (160, 96), "auto") == photo_like()
    body, settings = SOURCES["in planes"]
    assert interval_in(prepared(body, "auto", **settings).jpeg) == 1  # over RGB: 171 pixels are 11 MCUs


# ---- Other decoders
def of_torchvision(jpeg: bytes) -> Pixels:
    io_ = pytest.importorskip("torchvision.io")
    import torch

    made: Pixels = io_.decode_jpeg(torch.frombuffer(bytearray(jpeg), dtype=torch.uint8)).permute(1, 2, 0).numpy()
    return made


def of_opencv(jpeg: bytes) -> Pixels:
    cv2 = pytest.importorskip("cv2")
    made: Pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return made


def of_webdataset(jpeg: bytes) -> Pixels:
    webdataset = pytest.importorskip("webdataset")
    made: Pixels = webdataset.imagehandler("rgb8")("sample.jpg", jpeg)
    return made


def of_dali(jpeg: bytes) -> Pixels:
    pytest.importorskip("nvidia.dali")
    from nvidia.dali import fn, pipeline_def

    @pipeline_def(batch_size=1, num_threads=1, device_id=None)  # type: ignore[untyped-decorator]
    def graph() -> object:
        return fn.decoders.image(fn.external_source(source=lambda: [np.frombuffer(jpeg, np.uint8)]), device="cpu")

    pipeline = graph()
    pipeline.build()
    (images,) = pipeline.run()
    return np.array(images.at(0))


@compiled
@pytest.mark.parametrize("name", ["in planes", "cropped", "as it came", "as it came, 4:4:4"])
@pytest.mark.parametrize("decode", [of_torchvision, of_opencv, of_webdataset, of_dali, pixels])
def test_other_decoders_see_the_same_pixels(decode: Callable[[bytes], Pixels], name: str) -> None:
    body, settings = SOURCES[name]
    plain, marked = prepared(body, 0, **settings).jpeg, prepared(body, "auto", **settings).jpeg
    assert interval_in(plain) == 0 and interval_in(marked) > 0
    found = decode(marked)
    assert found.std() > 5 and np.array_equal(found, decode(plain))
