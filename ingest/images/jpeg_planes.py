"""A plain JPEG made smaller in its own colour planes, by `planes.c`, in three quarters of the time that the way over RGB takes.

The pixels are those of that way, but for rounding and for colours that were stored in half the size: these are not enlarged
between. Where planes.c was not compiled, and for pictures that it declines, there is the way over RGB, in `prepare.py`.
"""

import importlib
from typing import Any

from tagmill.ingest.images.resize import Size

PLANES_THUMBNAIL = 64  # pixels a side, of the luma that is averaged along with the rest

_FRAMES, _SCAN = (0xC0, 0xC1, 0xC2), 0xDA  # markers
# Those of a plain header: frames, tables, comments, and what applications say, but for EXIF, XMP (E1) and profiles (E2). Not
# among them are markers without a length, behind which readers differ over what is a segment.
_PLAIN = frozenset([*_FRAMES, 0xC4, 0xDB, 0xDD, 0xE0, *range(0xE3, 0xF0), 0xFE])
_SEGMENTS = 64  # of a header that is plain; it has about ten

try:
    _compiled: Any = importlib.import_module("tagmill.ingest.images._planes")
except ImportError:
    _compiled = None


def is_compiled() -> bool:
    """Whether planes.c was compiled when the package was installed."""
    return _compiled is not None


def plain_size(body: bytes) -> Size | None:
    """Width and height of a JPEG whose header has no EXIF, XMP or profile, by which it would be turned or have other colours.

    None where it has, or it is no JPEG that `smaller` could take; far fewer steps than Pillow's reading of all that it says.
    """
    if _compiled is None or body[:2] != b"\xff\xd8":
        return None
    size, place = None, 2
    for _ in range(_SEGMENTS):
        head = body[place : place + 4]
        if len(head) < 4 or head[0] != 0xFF:
            break
        marker, length = head[1], int.from_bytes(head[2:])
        if marker == _SCAN:
            return size
        if marker not in _PLAIN or length < 2:
            break
        if marker in _FRAMES:
            size = int.from_bytes(body[place + 7 : place + 9]), int.from_bytes(body[place + 5 : place + 7])
        place += 2 + length
    return None


def smaller(body: bytes, size: Size, target: Size, fraction: int, quality: int) -> tuple[bytes, bytes] | None:
    """The picture of a JPEG of that size in another, as a baseline JPEG (4:2:0) without metadata, and its luma
    [THUMBNAIL, THUMBNAIL].

    It is decoded at 1/`fraction` of its size (1, 2, 4, 8), and averaged from there. None where that is declined: not three
    8-bit planes of YCbCr, another size than the caller read in its header, a target that is larger or below the thumbnail's,
    scans that are too many or too few, bytes that libjpeg has anything to say about.
    """
    if _compiled is None or min(target) < PLANES_THUMBNAIL:
        return None
    made: tuple[bytes, bytes] | None = _compiled.smaller(body, *size, *target, fraction, quality)
    return made


def ends_early(body: bytes) -> bool:
    """Whether a scan of a JPEG ends before it has all that its header says; restart intervals that are damaged do not count.

    False where libjpeg refuses the file, and where planes.c was not compiled.
    """
    return _compiled is not None and bool(_compiled.ends_early(body))
