"""One reading of a JPEG's header for every reader, and scans that end early or are too many."""

import io
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images import jpeg_planes
from tagmill.ingest.images.jpeg_scans import MAX_SCANS, bytes_to_decode, normalise_header
from tagmill.ingest.images.prepare import Prepared, prepare
from tagmill.ingest.images.rejected import Rejected, RejectError
from tagmill.ingest.reasons import Reason

compiled = pytest.mark.skipif(not jpeg_planes.is_compiled(), reason="jpeg_planes.c was not compiled")
SMALLER = ImagePolicy(80, 90, 8, 1_000_000)
CROPPED = ImagePolicy(80, 90, 8, 1_000_000, resize="center_crop")
AS_CAME = ImagePolicy(80, 90, 8, 1_000_000, resize="no", reencode="auto")
NEVER = ImagePolicy(80, 90, 8, 1_000_000, resize="no", reencode="never")
POLICIES = [SMALLER, CROPPED, AS_CAME]
KINDS: dict[str, dict[str, Any]] = {
    "4:2:0": {"subsampling": "4:2:0"},
    "4:4:4": {"subsampling": "4:4:4"},
    "4:2:2": {"subsampling": "4:2:2"},
    "restarts": {"restart_marker_blocks": 5},
    "optimized": {"optimize": True},
}


def picture(mode: str = "RGB", width: int = 160, height: int = 120) -> Image.Image:
    few = np.random.default_rng(3).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    smooth = Image.fromarray(few).resize((width, height), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(4).integers(-20, 21, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8)).convert(mode)


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    sink = io.BytesIO()
    picture(mode).save(sink, "JPEG", **{"quality": 90, **options})
    return sink.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (2 + len(content)).to_bytes(2) + content


def scans_of(body: bytes) -> list[int]:
    return [found.start() for found in re.finditer(rb"\xff\xda", body)]


def good(body: bytes, policy: ImagePolicy) -> Prepared:
    made = prepare(body, policy)
    assert isinstance(made, Prepared), made
    return made


def closed(body: bytes, length: int) -> bytes:
    """Cuts a file, and appends an end marker."""
    return body[:length] + b"\xff\xd9"


@pytest.mark.parametrize("policy", POLICIES, ids=["smaller", "cropped", "as it came"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("name", KINDS)
def test_an_image_that_ends_early_in_a_valid_state_is_truncated(name: str, mode: str, policy: ImagePolicy) -> None:
    options = KINDS[name] if mode != "L" else {key: KINDS[name][key] for key in KINDS[name] if key != "subsampling"}
    body = jpeg(mode, **options)
    good(body, policy)
    for share in (0.5, 0.9, 0.99):
        start = scans_of(body)[0]
        cut = closed(body, start + int((len(body) - start) * share))
        assert prepare(cut, policy) == Rejected(Reason.TRUNCATED, "JPEG")
    tall = bytearray(body)
    place = body.index(b"\xff\xc0") + 5
    tall[place : place + 2] = (1200).to_bytes(2)
    assert prepare(bytes(tall), policy) == Rejected(Reason.TRUNCATED, "JPEG")


@pytest.mark.parametrize("policy", POLICIES, ids=["smaller", "cropped", "as it came"])
def test_an_end_marker_or_a_stray_restart_amid_the_pixels_ends_them(policy: ImagePolicy) -> None:
    body = jpeg()
    middle = (scans_of(body)[0] + len(body)) // 2
    for marker in (b"\xff\xd9", b"\xff\xd3", b"\xff\xe0", b"\xff\xff\xd9"):
        assert prepare(body[:middle] + marker + body[middle:], policy) == Rejected(Reason.TRUNCATED, "JPEG"), marker


@pytest.mark.parametrize("policy", POLICIES, ids=["smaller", "cropped", "as it came"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_progressive_pictures_need_all_their_scans(mode: str, policy: ImagePolicy) -> None:
    body = jpeg(mode, progressive=True)
    good(body, policy)
    starts = scans_of(body)
    assert len(starts) > 4
    for start in starts[1:]:
        assert prepare(closed(body, start), policy) == Rejected(Reason.TRUNCATED, "JPEG")


@compiled
@pytest.mark.parametrize("policy", POLICIES, ids=["smaller", "cropped", "as it came"])
def test_a_progressive_scan_that_ends_early_is_found(policy: ImagePolicy) -> None:
    body = jpeg(progressive=True)
    first = body.index(b"\xff\xc4", scans_of(body)[0])  # tables for the next scan
    for end in (first, len(body) - 2):  # behind the first the others are whole
        assert prepare(body[: end - 60] + body[end:], policy) == Rejected(Reason.TRUNCATED, "JPEG")


def test_damage_between_restarts_is_no_early_end() -> None:
    """libjpeg continues after the next restart marker, and so do browsers."""
    body = bytearray(jpeg(restart_marker_blocks=5))
    marks = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", body)]
    del body[marks[3] + 2 : marks[4] - 2]
    for policy in (SMALLER, CROPPED):
        good(bytes(body), policy)
    assert not jpeg_planes.ends_early(bytes(body))


def many_scans(count: int) -> bytes:
    body = jpeg("L", progressive=True)
    last = scans_of(body)[-1]
    return body[:-2] + body[last:-2] * count + body[-2:]


@pytest.mark.parametrize("policy", [SMALLER, CROPPED], ids=["smaller", "cropped"])
def test_scans_are_bounded_as_in_the_loader(policy: ImagePolicy) -> None:
    few = len(scans_of(jpeg("L", progressive=True)))
    good(many_scans(MAX_SCANS - few), policy)
    assert prepare(many_scans(MAX_SCANS - few + 1), policy) == Rejected(
        Reason.DECODER_FAILED, f"JPEG: more than {MAX_SCANS} scans"
    )


def exif(orientation: int) -> bytes:
    made = Image.Exif()
    made[0x0112] = orientation
    return segment(0xE1, b"Exif\0\0" + made.tobytes().removeprefix(b"Exif\0\0"))


HIDING = {
    "restart": b"\xff\xd0",
    "temporary": b"\xff\x01",
    "junk": b"junk",
    "stuffed": b"\xff\x00",
    "fill": b"\xff\xff\xff",
    "lines": segment(0xDC, b"\0\x09"),
}


@pytest.mark.parametrize("policy", [SMALLER, CROPPED, AS_CAME], ids=["smaller", "cropped", "as it came"])
@pytest.mark.parametrize("name", HIDING)
def test_nothing_hides_an_orientation(name: str, policy: ImagePolicy) -> None:
    """A marker without a length, which another reader gives a length, could hide the segment after it."""
    body = jpeg()
    at = body.index(b"\xff\xdb")
    hidden = body[:at] + HIDING[name] + exif(6) + body[at:]
    wanted = good(body[:at] + exif(6) + body[at:], policy)
    made = good(hidden, policy)
    assert (made.original_width, made.original_height) == (120, 160) and made.jpeg == wanted.jpeg
    long = body[:at] + HIDING[name] + segment(0xE0, bytes(0xFFFD - 2)) + exif(6) + body[at:]
    assert good(long, policy).jpeg == wanted.jpeg


def test_nothing_hides_a_size() -> None:
    """A segment of one reader holds a frame header for another."""
    body = jpeg()
    frame = body[body.index(b"\xff\xc0") :][:19]
    large = frame[:5] + (60000).to_bytes(2) + (60000).to_bytes(2) + frame[9:]
    for head in (b"\xff\xd0" + (2 + len(large) - 2).to_bytes(2), b"\xff\x01\x00\x15", b"junk"):
        made = prepare(body[:2] + head + large + body[2:], SMALLER)
        assert isinstance(made, Rejected), head
    assert jpeg_planes.plain_size(body[:2] + b"\xff\xd0\x00\x15" + large + body[2:]) is None


@compiled
def test_the_size_that_was_promised_is_compared() -> None:
    body = jpeg()
    assert jpeg_planes.downscale(body, (160, 120), (80, 64), 1, 90) is not None
    for size in ((161, 120), (160, 121), (80, 64), (60000, 60000)):
        assert jpeg_planes.downscale(body, size, (80, 64), 1, 90) is None


def test_most_files_are_not_changed() -> None:
    for body in (jpeg(), jpeg(progressive=True), jpeg(exif=exif(3)[4:]), jpeg("CMYK")):
        assert normalise_header(body) is body
    body = jpeg()
    assert normalise_header(body[:2] + b"\xff\xd0xx" + body[2:]) == body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xd8\xff", Reason.TRUNCATED),
        (b"\xff\xd8\xff\xd9", Reason.TRUNCATED),
        (jpeg()[:300], Reason.TRUNCATED),
        (jpeg()[:2] + jpeg(), Reason.DECODER_FAILED),
        (jpeg()[:2] + segment(0xF3, b"reserved") + jpeg()[2:], Reason.DECODER_FAILED),
        (jpeg()[:2] + b"\xff\xe0\0\1" + jpeg()[2:], Reason.DECODER_FAILED),
    ],
)
def test_headers_that_end_early_or_are_unsupported(body: bytes, reason: Reason) -> None:
    with pytest.raises(RejectError) as caught:
        normalise_header(body)
    assert caught.value.rejected.reason == reason and str(caught.value.rejected.detail).startswith("JPEG")
    made = prepare(body, SMALLER)
    assert isinstance(made, Rejected) and made.reason == reason


@given(
    st.sampled_from([jpeg(), jpeg(progressive=True), jpeg("L", restart_marker_blocks=3), jpeg("CMYK")]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=3)), max_size=6),
)
@settings(max_examples=200, deadline=None)
def test_altered_files_have_one_reading(body: bytes, changes: list[tuple[float, bytes]]) -> None:
    mutated = bytearray(body)
    for place, some in changes:  # the cube favours the header
        at = 3 + int(place**3 * (len(mutated) - 3))
        mutated[at : at + len(some)] = some
    try:
        once = normalise_header(bytes(mutated))
        *_, given_on = bytes_to_decode(once)
    except RejectError:
        return
    assert normalise_header(once) == once and given_on.rstrip(b"\xfe").startswith(once[:2])
    assert once.startswith(given_on.rstrip(b"\xfe"))
