"""A JPEG that can be stored as it came, without what is said about it: no pixel is made anew. ITU-T T.81, annex B."""

import re
from itertools import cycle, islice

_SOI, _EOI, _SOS, _SOF0 = 0xD8, 0xD9, 0xDA, 0xC0
_DQT, _DHT, _DRI, _APP0, _APP14, _COM = 0xDB, 0xC4, 0xDD, 0xE0, 0xEE, 0xFE
# The only header that is written in place of the source's: JFIF 1.1, square pixels, no thumbnail. It says YCbCr to everybody.
_JFIF = bytes([0xFF, _SOI, 0xFF, _APP0, 0, 16]) + b"JFIF\0\1\1\0\0\1\0\1\0\0"
_MOST_TABLES = 8192  # bytes; those of a baseline JPEG are 600, and a header of megabytes would be stored for ever
_LUMA = {0x11: 8, 0x22: 16}  # sampling of luma over chroma's 1 x 1, and pixels a side of a unit: 4:4:4 and 4:2:0
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # a marker that ends a scan
_RESTARTS = re.compile(rb"\xff([\xd0-\xd7])")


def as_it_came(body: bytes) -> bytes | None:
    """The JPEG with its own tables and scan, byte for byte, and nothing else; None unless every decoder takes it.

    Taken are files of one frame and one scan: baseline, 8 bit, YCbCr at 4:2:0 or 4:4:4, restart markers where they belong,
    and an end. Left out are EXIF (with places and thumbnails), XMP, IPTC, colour profiles, comments, makers' segments and what
    stands after the end: the caller must know that neither orientation nor profile is needed. That its pixels decode is for
    the caller to try.
    """
    if body[:2] != bytes([0xFF, _SOI]):
        return None
    kept, room, place, frame, interval = [_JFIF], _MOST_TABLES, 2, b"", 0
    tables: set[tuple[int, int]] = set()
    while place + 4 <= len(body) and body[place] == 0xFF:
        marker, size = body[place + 1], body[place + 2] << 8 | body[place + 3]
        if marker == 0xFF:  # bytes that fill
            place += 1
            continue
        segment, whole = body[place + 4 : place + 2 + size], body[place : place + 2 + size]
        if size < 2 or len(whole) < 2 + size:
            return None
        place += 2 + size
        if marker == _SOS:
            if not frame or not _is_scan(segment) or not _needed(frame, segment) <= tables:
                return None
            scan = _scan(body, place, _restarts(frame, interval))
            return None if scan is None else b"".join([*kept, whole, scan])
        if marker == _SOF0 and not frame and _is_frame(segment):
            frame = segment
        elif marker == _DRI and len(segment) == 2:
            interval = segment[0] << 8 | segment[1]
        elif marker in (_DQT, _DHT) and (found := _tables(marker, segment)):
            tables |= found
        elif _may_go(marker, segment):
            continue
        else:
            return None
        room -= len(whole)
        if room < 0:
            return None
        kept.append(whole)
    return None


def _may_go(marker: int, segment: bytes) -> bool:
    """Whether a segment says nothing that decoding needs: Adobe's may say that the colours are not YCbCr."""
    if marker == _APP14 and segment.startswith(b"Adobe"):
        return len(segment) >= 12 and segment[11] == 1
    return _APP0 <= marker <= _APP0 + 15 or marker == _COM


def _tables(marker: int, segment: bytes) -> set[tuple[int, int]]:
    """(marker, number) of the tables in a segment; none where one is cut, or of a kind that baseline does not have."""
    found, place = set(), 0
    while place < len(segment):
        number = segment[place]
        known = number < 4 if marker == _DQT else not number & 0xEE
        place += 65 if marker == _DQT else 17 + sum(segment[place + 1 : place + 17])
        if not known or place > len(segment):
            return set()
        found.add((marker, number))
    return found


def _needed(frame: bytes, scan: bytes) -> set[tuple[int, int]]:
    """The tables that frame and scan name. libjpeg has Huffman tables of its own for files without them, others do not."""
    direct, alternating = {t >> 4 for t in scan[2:7:2]}, {0x10 | t & 15 for t in scan[2:7:2]}
    return {(_DQT, number) for number in frame[8::3]} | {(_DHT, number) for number in direct | alternating}


def _is_frame(frame: bytes) -> bool:
    """8 bit, with sides, three components that are numbered as JFIF numbers YCbCr, chroma not finer than luma."""
    sides_and_count = len(frame) == 15 and frame[0] == 8 and any(frame[1:3]) and any(frame[3:5]) and frame[5] == 3
    return sides_and_count and frame[6::3] == b"\1\2\3" and frame[7] in _LUMA and frame[10] == frame[13] == 0x11


def _is_scan(scan: bytes) -> bool:
    """All three components at once, in one pass, with baseline's two tables of a kind at most."""
    one_pass = len(scan) == 10 and scan[0] == 3 and scan[7:] == b"\0\x3f\0"
    return one_pass and scan[1:7:2] == b"\1\2\3" and not any(tables & 0xEE for tables in scan[2:7:2])


def _restarts(frame: bytes, interval: int) -> int:
    """How many restart markers a scan of this frame has."""
    unit = _LUMA[frame[7]]
    height, width = frame[1] << 8 | frame[2], frame[3] << 8 | frame[4]
    units = -(-width // unit) * -(-height // unit)
    return (units - 1) // interval if interval else 0


def _scan(body: bytes, start: int, restarts: int) -> bytes | None:
    """The coded pixels and the end of image; None where something else ends them, or restarts are not in their order."""
    end = _AFTER_SCAN.search(body, start)
    if end is None or end[0][1] != _EOI:
        return None
    found = [mark[0] for mark in _RESTARTS.findall(body, start, end.start())]
    return body[start : end.end()] if found == list(islice(cycle(range(0xD0, 0xD8)), restarts)) else None
