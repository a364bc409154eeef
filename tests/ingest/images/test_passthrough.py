"""Lossless passthrough keeps the exact pixels, drops all metadata, and suits every decoder."""

import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from tagmill.ingest.images.passthrough import without_metadata
from tagmill.pipeline.read.jpeg_header import frame_size, is_whole

SECRET = b"51.4778N 0.0015W by Somebody"
NOISE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (75, 101, 3), dtype=np.uint8))


@pytest.fixture(autouse=True, scope="module")
def any_size() -> Iterator[None]:
    """Other tests of this process have prepared pictures, each under its policy's limit; a mutated header may say any size."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    yield
    Image.MAX_IMAGE_PIXELS = before


def jpeg(image: Image.Image = NOISE, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "JPEG", **{"quality": 90, **options})
    return sink.getvalue()


def told() -> dict[str, Any]:
    """Everything that Pillow can say about a picture, with a secret in each."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return {"exif": exif, "xmp": SECRET, "comment": SECRET, "icc_profile": profile + SECRET, "dpi": (300, 300)}


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def adobe(transform: int) -> bytes:
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


def after_soi(body: bytes, *segments: bytes) -> bytes:
    return body[:2] + b"".join(segments) + body[2:]


TAKEN = {
    "420": jpeg(subsampling="4:2:0"),
    "444": jpeg(subsampling="4:4:4"),
    "told": jpeg(**told()),
    "optimized": jpeg(optimize=True),
    "restarts": jpeg(restart_marker_blocks=5),
    "restart_rows": jpeg(restart_marker_rows=1, subsampling="4:2:0"),
    "iptc": after_soi(jpeg(), segment(0xED, b"Photoshop 3.0\0" + SECRET)),
    "adobe_ycbcr": after_soi(jpeg(), adobe(1)),
    "filled": jpeg()[:2] + b"\xff\xff" + jpeg()[2:],
    "tail": jpeg() + jpeg(NOISE.crop((0, 0, 9, 9))) + SECRET,
    "one_pixel": jpeg(NOISE.crop((0, 0, 1, 1))),
}


@pytest.mark.parametrize("name", TAKEN)
def test_passthrough_keeps_pixels_and_drops_metadata(name: str) -> None:
    kept = without_metadata(TAKEN[name])
    assert kept is not None
    before, after = (Image.open(io.BytesIO(body)) for body in (TAKEN[name], kept))
    assert np.array_equal(np.asarray(before), np.asarray(after))
    assert SECRET not in kept and not {"exif", "xmp", "comment", "icc_profile", "photoshop", "adobe"} & set(after.info)
    assert frame_size(kept) == after.size and is_whole(kept) and kept.endswith(b"\xff\xd9")
    assert without_metadata(kept) == kept


def test_the_coded_pixels_are_the_same_bytes() -> None:
    body = TAKEN["told"]
    scan = body[body.rindex(b"\xff\xda") :]
    kept = without_metadata(body)
    assert kept is not None and kept.endswith(scan)


def with_ids(ids: bytes) -> bytes:
    """The picture without JFIF, its components called otherwise; decoders guess colours by that."""
    body = bytearray(re.sub(rb"\xff\xe0\0\x10JFIF.{10}", b"", TAKEN["444"], flags=re.DOTALL))
    frame, scan = body.index(b"\xff\xc0"), body.index(b"\xff\xda")
    for i in range(3):
        body[frame + 10 + 3 * i] = body[scan + 5 + 2 * i] = ids[i]
    return bytes(body)


def without_last_restart() -> bytes:
    body = TAKEN["restarts"]
    place = max(found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", body))
    return body[:place] + body[place + 2 :]


REFUSED = {
    "empty": b"",
    "png": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "progressive": jpeg(progressive=True),
    "422": jpeg(subsampling="4:2:2"),
    "grey": jpeg(NOISE.convert("L")),
    "cmyk": jpeg(NOISE.convert("CMYK")),
    "rgb_inside": jpeg(keep_rgb=True),
    "rgb_by_adobe": after_soi(jpeg(), adobe(0)),
    "rgb_by_ids": with_ids(b"RGB"),
    "cut": jpeg()[:-40],
    "no_end": jpeg()[:-2],
    "another_frame": after_soi(jpeg(), jpeg()[jpeg().index(b"\xff\xc0") :][:19]),
    "arithmetic": after_soi(jpeg(), segment(0xCC, b"\0\0")),
    "huge_tables": after_soi(jpeg(), *[segment(0xDB, bytes([0]) + b"\1" * 64)] * 200),
    "deep_tables": after_soi(jpeg(), segment(0xDB, bytes([0x10]) + b"\0\1" * 64)),
    "lost_restart": without_last_restart(),
    "stray_restart": jpeg()[:-2] + b"\xff\xd0\xff\xd9",
    "no_huffman_tables": jpeg().replace(b"\xff\xc4", b"\xff\xe4"),  # which libjpeg decodes all the same
    "one_huffman_table_less": jpeg().replace(b"\xff\xc4", b"\xff\xe4", 1),
    "no_quantisation": jpeg().replace(b"\xff\xdb", b"\xff\xe4"),
    "cut_tables": after_soi(jpeg(), segment(0xDB, bytes(64))),
    "one_more_scan": jpeg()[:-2] + jpeg()[jpeg().index(b"\xff\xda") :],
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_some_decoder_may_refuse_are_declined(name: str) -> None:
    assert without_metadata(REFUSED[name]) is None


def test_the_file_that_the_wrong_names_are_made_from_is_fine() -> None:
    assert (
        without_metadata(with_ids(b"\1\2\3")) is not None and without_metadata(after_soi(jpeg(), adobe(1))) is not None
    )


@given(
    st.sampled_from(sorted(TAKEN)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
)
@settings(max_examples=300, deadline=None)
def test_mutated_files_are_declined_or_plain(name: str, changes: list[tuple[float, int]]) -> None:
    mutated = bytearray(TAKEN[name])
    for place, value in changes:  # the cube favours the header
        mutated[int(place**3 * len(mutated))] = value
    kept = without_metadata(bytes(mutated))
    if kept is not None:
        assert frame_size(kept) is not None and is_whole(kept) and without_metadata(kept) == kept
        with Image.open(io.BytesIO(kept)) as image:
            assert (image.mode, len(image.layer)) == ("RGB", 3)  # type: ignore[attr-defined]
            assert "exif" not in image.info
