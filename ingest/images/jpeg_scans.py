"""Makes all readers see the same JPEG header, and checks that the scans hold the whole image. ITU-T T.81, annex B.

libjpeg skips markers without a segment and junk between segments. Other readers take them for something else, and could
see another size, profile or orientation than the one that is decoded. And libjpeg fills up a scan that ends early, with
a warning that Pillow does not report.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tagmill.ingest.images import jpeg_planes
from tagmill.ingest.images.rejected import RejectError
from tagmill.ingest.reasons import Reason

MAX_SCANS = 100  # same as the loader's limit: a scan of a few bytes costs as much time as all pixels
# Appended in place of the end marker: libjpeg reads up to 8 bytes more than the last pixel needs. It could decode them
# as the last blocks, but for at most about three, as codes that begin with ones are long.
READ_AHEAD = b"\xfe" * 10

_START = b"\xff\xd8\xff"  # how Pillow recognises a JPEG
_SOI, _EOI, _SOS, _DRI, _COM, _DNL = 0xD8, 0xD9, 0xDA, 0xDD, 0xFE, 0xDC
_TABLES = frozenset([0xC4, 0xCC, 0xDB, _DRI])
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2  # Huffman coded
_KEPT = _FRAMES | _TABLES | {_SOS, _COM} | set(range(0xE0, 0xF0))
_ALONE = frozenset([0x01, *range(0xD0, 0xD8)])  # markers without a segment
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)  # the next marker, whatever precedes it
_AFTER_SCAN = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)  # the next marker that is not a restart marker
_COEFFICIENTS = 64  # in a block


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    start: int  # offset of its marker
    end: int
    follows: bool  # it begins where the segment before ends

    def content(self, body: bytes) -> bytes:
        return body[self.start + 4 : self.end]


def is_jpeg(body: bytes) -> bool:
    """Returns whether Pillow recognises the bytes as a JPEG."""
    return body.startswith(_START)


def normalise_header(body: bytes) -> bytes:
    """Returns the JPEG with a header of contiguous segments up to the first scan: for nearly all files the same bytes.

    Raises RejectError where the header ends before a scan, or has what libjpeg refuses.
    """
    segments = list(_segments(body, 2))
    if all(segment.follows and segment.marker in _KEPT for segment in segments):
        return body
    kept = (body[segment.start : segment.end] for segment in segments if segment.marker in _KEPT)
    return b"".join([body[:2], *kept, body[segments[-1].end :]])


def _segments(body: bytes, offset: int) -> Iterator[_Segment]:
    """Yields the segments from `offset` to the next scan header, which is the last. Raises RejectError if there is no scan."""
    before = offset
    while (found := _MARKER.search(body, offset)) is not None:
        marker, offset = found[1][0], found.end()
        if marker in _ALONE:
            continue
        if marker == _EOI:
            raise RejectError(Reason.TRUNCATED, "JPEG: it ends before its picture")
        if marker not in _KEPT and marker != _DNL:
            raise RejectError(Reason.DECODER_FAILED, f"JPEG: marker 0x{marker:02X} in its header")
        length = int.from_bytes(body[offset : offset + 2])
        if len(body) < offset + max(2, length):
            break
        if length < 2:
            raise RejectError(Reason.DECODER_FAILED, f"JPEG: a segment of {length} bytes")
        offset += length
        yield _Segment(marker, found.start(), offset, not body[before : found.start()].strip(b"\xff"))  # fill bytes
        before = offset
        if marker == _SOS:
            return
    raise RejectError(Reason.TRUNCATED, "JPEG: it ends in its header")


class _Coverage:
    """Tracks which bits of which coefficients the scans have delivered."""

    def __init__(self, marker: int, frame: bytes) -> None:
        self._progressive = marker == _PROGRESSIVE
        self._lowest = {
            component: [-1] * _COEFFICIENTS for component in frame[6::3]
        }  # lowest missing bit; -1: nothing received

    def add(self, scan: bytes) -> None:
        """Adds a scan, given the content of its header."""
        count = scan[0] if scan else 0
        first, last, bits = scan[1 + 2 * count : 4 + 2 * count].ljust(3, b"\0")
        if not self._progressive:
            first, last, bits = 0, _COEFFICIENTS - 1, 0
        for component in scan[1 : 1 + 2 * count : 2]:
            lowest = self._lowest.get(component, [0] * _COEFFICIENTS)
            lowest[first : last + 1] = [bits & 15] * len(lowest[first : last + 1])

    def whole(self) -> bool:
        return not any(bit for lowest in self._lowest.values() for bit in lowest)


def bytes_to_decode(body: bytes) -> list[bytes]:
    """Returns what Pillow must decode in place of a normalised JPEG, so that an image that ends early is detected.

    Pillow must read all items; the last one is the image, with the same header. A file of one scan gets other bytes in
    place of its end: libjpeg reads into them where the scan is too short, and Pillow raises. With several scans, all
    must be there (RejectError otherwise) and, where jpeg_planes.c was compiled, be complete. Raises RejectError for
    more than `MAX_SCANS` scans.
    """
    segments = list(_segments(body, 2))
    frames = [segment for segment in segments if segment.marker in _FRAMES]
    if len(frames) != 1 or frames[0].marker not in (*_SEQUENTIAL, _PROGRESSIVE):
        return [body]
    marker, frame = frames[0].marker, frames[0].content(body)
    coverage = _Coverage(marker, frame)
    for _ in range(MAX_SCANS):
        header = segments[-1]
        scan = header.content(body)
        coverage.add(scan)
        end, behind = _end(body, header.end, segments)
        if marker in _SEQUENTIAL and scan[:1] == frame[5:6]:  # interleaved: libjpeg reads no other scan
            endless = body[:end] + READ_AHEAD
            return [endless] if behind == _EOI else [body, endless]
        try:
            segments += _segments(body, end)
        except RejectError:
            break
    else:
        raise RejectError(Reason.DECODER_FAILED, f"JPEG: more than {MAX_SCANS} scans")
    if not coverage.whole() or jpeg_planes.ends_early(body):
        raise RejectError(Reason.TRUNCATED, "JPEG")
    return [body]


def _end(body: bytes, start: int, segments: list[_Segment]) -> tuple[int, int | None]:
    """Returns where a scan ends, and the marker there; restart markers count only where no restart interval is set."""
    intervals = [segment.content(body) for segment in segments if segment.marker == _DRI]
    found = (_AFTER_SCAN if intervals and any(intervals[-1][:2]) else _MARKER).search(body, start)
    if found is None:
        return len(body), None
    end = found.start()
    while end > start and body[end - 1] == 0xFF:  # fill bytes before a marker
        end -= 1
    return end, found[1][0]
