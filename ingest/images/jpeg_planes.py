"""Downscales plain JPEGs within their YCbCr planes, by `jpeg_planes.c`, without converting to RGB and back.

The pixels equal those of the RGB path except for rounding and for chroma, which is not upsampled in between when it is
stored at half size. `prepare.py` takes the RGB path for images that are declined here, and for all where the C part was
not compiled.
"""

import importlib
from typing import Any

from tagmill.ingest.images.resize import Size

PLANES_THUMBNAIL = 64  # pixels a side of the luma thumbnail, which is averaged in the same pass

_FRAMES, _SCAN = (0xC0, 0xC1, 0xC2), 0xDA  # markers
# Segments of a plain header: frames, tables, comments, application data except EXIF, XMP (E1) and profiles (E2).
# Markers without a length are excluded, because readers disagree about what follows them.
_PLAIN = frozenset([*_FRAMES, 0xC4, 0xDB, 0xDD, 0xE0, *range(0xE3, 0xF0), 0xFE])
_SEGMENTS = 64  # most segments of a plain header; usual files have about ten

try:
    _compiled: Any = importlib.import_module("tagmill.ingest.images._planes")
except ImportError:
    _compiled = None


def is_compiled() -> bool:
    """Returns whether jpeg_planes.c was compiled when the package was installed."""
    return _compiled is not None


def plain_size(body: bytes) -> Size | None:
    """Returns (width, height) of a JPEG whose header has no EXIF, XMP or profile that could rotate or recolour it.

    None where the header has one, or where `downscale` cannot take the file. Reads far less than Pillow does.
    """
    if _compiled is None or body[:2] != b"\xff\xd8":
        return None
    size = None
    offset = 2
    for _ in range(_SEGMENTS):
        head = body[offset : offset + 4]
        if len(head) < 4 or head[0] != 0xFF:
            break
        marker, length = head[1], int.from_bytes(head[2:])
        if marker == _SCAN:
            return size
        if marker not in _PLAIN or length < 2:
            break
        if marker in _FRAMES:
            size = int.from_bytes(body[offset + 7 : offset + 9]), int.from_bytes(body[offset + 5 : offset + 7])
        offset += 2 + length
    return None


def downscale(
    body: bytes, size: Size, target: Size, fraction: int, quality: int, interval: int = 0
) -> tuple[bytes, bytes] | None:
    """Returns the image at size `target` as a baseline 4:2:0 JPEG without metadata, and its luma thumbnail.

    The thumbnail is uint8 [PLANES_THUMBNAIL, PLANES_THUMBNAIL], as bytes. Decodes at 1/`fraction` of `size` (1, 2, 4 or
    8) and averages from there. The JPEG has a restart marker every `interval` MCUs, 0 for none. Returns None for files
    that it declines: not three 8-bit YCbCr planes, a size other than `size`, a target larger than the image or smaller
    than the thumbnail, too many or too few scans, any libjpeg warning.
    """
    if _compiled is None or min(target) < PLANES_THUMBNAIL:
        return None
    made: tuple[bytes, bytes] | None = _compiled.smaller(body, *size, *target, fraction, quality, interval)
    return made


def recode(body: bytes, size: Size, interval: int) -> bytes | None:
    """Returns a baseline JPEG of `size` with its own coefficients and a restart marker every `interval` MCUs.

    Quantisation tables and sampling stay too, so that it decodes to the same pixels; metadata is dropped. Returns None
    for files that it declines: not three 8-bit YCbCr planes in one scan, a size other than `size`, any libjpeg warning;
    and where jpeg_recode.c was not compiled.
    """
    made: bytes | None = None if _compiled is None else _compiled.recode(body, *size, interval)
    return made


def ends_early(body: bytes) -> bool:
    """Returns whether a scan of a JPEG ends before its header says; damaged restart intervals do not count.

    False where libjpeg refuses the file, and where jpeg_planes.c was not compiled.
    """
    return _compiled is not None and bool(_compiled.ends_early(body))
