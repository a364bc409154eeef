"""Lossless passthrough of JPEGs: strips metadata and keeps the coded pixels. ITU-T T.81, annex B."""

import re
from itertools import cycle, islice

_SOI, _EOI, _SOS, _SOF0 = 0xD8, 0xD9, 0xDA, 0xC0
_DQT, _DHT, _DRI, _APP0, _APP14, _COM = 0xDB, 0xC4, 0xDD, 0xE0, 0xEE, 0xFE
# Replaces the source's header: JFIF 1.1, square pixels, no thumbnail; it declares YCbCr.
_JFIF = bytes([0xFF, _SOI, 0xFF, _APP0, 0, 16]) + b"JFIF\0\1\1\0\0\1\0\1\0\0"
_MAX_TABLE_BYTES = 8192  # bytes; baseline JPEGs need 600, and an oversized header would be stored for good
_LUMA = {0x11: 8, 0x22: 16}  # luma sampling factors (chroma is 1 x 1) -> pixels a side of an MCU: 4:4:4 and 4:2:0
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # a marker that ends a scan
_RESTARTS = re.compile(rb"\xff([\xd0-\xd7])")


def without_metadata(body: bytes) -> bytes | None:
    """Returns the JPEG with its own tables and scan, byte for byte, and nothing else; None unless every decoder reads it.

    Accepts files of one frame and one scan: baseline, 8 bit, YCbCr at 4:2:0 or 4:4:4, restart markers in order, and an
    end marker. Drops EXIF (which may hold locations and thumbnails), XMP, IPTC, colour profiles, comments, maker
    segments and trailing bytes. The caller must know that neither orientation nor profile is needed, and must check
    that the pixels decode.
    """
    if body[:2] != bytes([0xFF, _SOI]):
        return None
    kept = [_JFIF]
    bytes_left = _MAX_TABLE_BYTES
    offset = 2
    frame = b""
    interval = 0
    tables: set[tuple[int, int]] = set()
    while offset + 4 <= len(body) and body[offset] == 0xFF:
        marker, size = body[offset + 1], body[offset + 2] << 8 | body[offset + 3]
        if marker == 0xFF:  # fill bytes
            offset += 1
            continue
        segment, whole = body[offset + 4 : offset + 2 + size], body[offset : offset + 2 + size]
        if size < 2 or len(whole) < 2 + size:
            return None
        offset += 2 + size
        if marker == _SOS:
            if not frame or not _is_scan(segment) or not _needed(frame, segment) <= tables:
                return None
            scan = _scan(body, offset, _restarts(frame, interval))
            return None if scan is None else b"".join([*kept, whole, scan])
        if marker == _SOF0 and not frame and _is_frame(segment):
            frame = segment
        elif marker == _DRI and len(segment) == 2:
            interval = segment[0] << 8 | segment[1]
        elif marker in (_DQT, _DHT) and (found := _tables(marker, segment)):
            tables |= found
        elif _is_droppable(marker, segment):
            continue
        else:
            return None
        bytes_left -= len(whole)
        if bytes_left < 0:
            return None
        kept.append(whole)
    return None


def _is_droppable(marker: int, segment: bytes) -> bool:
    """Returns whether decoding does not need a segment. An Adobe segment may say that the colours are not YCbCr."""
    if marker == _APP14 and segment.startswith(b"Adobe"):
        return len(segment) >= 12 and segment[11] == 1
    return _APP0 <= marker <= _APP0 + 15 or marker == _COM


def _tables(marker: int, segment: bytes) -> set[tuple[int, int]]:
    """Returns (marker, id) of the tables in a segment; empty where one is cut, or not allowed in baseline."""
    found = set()
    offset = 0
    while offset < len(segment):
        number = segment[offset]
        known = number < 4 if marker == _DQT else not number & 0xEE
        offset += 65 if marker == _DQT else 17 + sum(segment[offset + 1 : offset + 17])
        if not known or offset > len(segment):
            return set()
        found.add((marker, number))
    return found


def _needed(frame: bytes, scan: bytes) -> set[tuple[int, int]]:
    """Returns the tables that frame and scan refer to. libjpeg has default Huffman tables; other decoders do not."""
    direct, alternating = {t >> 4 for t in scan[2:7:2]}, {0x10 | t & 15 for t in scan[2:7:2]}
    return {(_DQT, number) for number in frame[8::3]} | {(_DHT, number) for number in direct | alternating}


def _is_frame(frame: bytes) -> bool:
    """Returns whether a frame is 8 bit, non-empty, YCbCr with JFIF's component ids, and 4:4:4 or 4:2:0."""
    sides_and_count = len(frame) == 15 and frame[0] == 8 and any(frame[1:3]) and any(frame[3:5]) and frame[5] == 3
    return sides_and_count and frame[6::3] == b"\1\2\3" and frame[7] in _LUMA and frame[10] == frame[13] == 0x11


def _is_scan(scan: bytes) -> bool:
    """Returns whether a scan has all three components, one pass, and at most baseline's two tables of a kind."""
    one_pass = len(scan) == 10 and scan[0] == 3 and scan[7:] == b"\0\x3f\0"
    return one_pass and scan[1:7:2] == b"\1\2\3" and not any(tables & 0xEE for tables in scan[2:7:2])


def _restarts(frame: bytes, interval: int) -> int:
    """Returns how many restart markers a scan of this frame has."""
    unit = _LUMA[frame[7]]
    height, width = frame[1] << 8 | frame[2], frame[3] << 8 | frame[4]
    units = -(-width // unit) * -(-height // unit)
    return (units - 1) // interval if interval else 0


def _scan(body: bytes, start: int, restarts: int) -> bytes | None:
    """Returns coded pixels and end marker; None where another marker ends them, or restart markers are out of order."""
    end = _AFTER_SCAN.search(body, start)
    if end is None or end[0][1] != _EOI:
        return None
    found = [mark[0] for mark in _RESTARTS.findall(body, start, end.start())]
    return body[start : end.end()] if found == list(islice(cycle(range(0xD0, 0xD8)), restarts)) else None
