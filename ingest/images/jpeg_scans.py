"""A JPEG as libjpeg reads it: one header for every reader, and scans that hold the whole picture. ITU-T T.81, annex B.

libjpeg passes over markers that have no segment and over junk between segments; other readers take these for something
else, and would see another size, profile or orientation than the one that is decoded. And it fills up what a scan that ends
early does not hold, with a warning that Pillow does not pass on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tagmill.ingest.images import jpeg_planes
from tagmill.ingest.images.rejected import RejectError
from tagmill.ingest.reasons import Reason

MOST_SCANS = 100  # as the loader's: a few bytes of a scan cost as much time as all pixels
# In place of an end: libjpeg takes up to 8 bytes more than the last pixel needs. It may take these for the last blocks; as
# codes that begin with ones are long, for no more than about three.
READ_AHEAD = b"\xfe" * 10

_START = b"\xff\xd8\xff"  # what Pillow takes for a JPEG
_SOI, _EOI, _SOS, _DRI, _COM, _DNL = 0xD8, 0xD9, 0xDA, 0xDD, 0xFE, 0xDC
_TABLES = frozenset([0xC4, 0xCC, 0xDB, _DRI])
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2  # of Huffman codes
_KEPT = _FRAMES | _TABLES | {_SOS, _COM} | set(range(0xE0, 0xF0))
_ALONE = frozenset([0x01, *range(0xD0, 0xD8)])  # markers without a segment
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)  # the next one, over whatever stands before it
_AFTER_SCAN = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)  # where restart markers belong into the scan
_COEFFICIENTS = 64  # of a block


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    start: int  # of its marker
    end: int
    follows: bool  # it begins where the one before ends

    def content(self, body: bytes) -> bytes:
        return body[self.start + 4 : self.end]


def is_jpeg(body: bytes) -> bool:
    """Whether Pillow takes the bytes for a JPEG."""
    return body.startswith(_START)


def regular(body: bytes) -> bytes:
    """The JPEG with a header that is segment after segment up to the first scan: the same bytes, for nearly all files.

    Raises RejectError where the header ends before a scan, or has what libjpeg refuses.
    """
    segments = list(_segments(body, 2))
    if all(segment.follows and segment.marker in _KEPT for segment in segments):
        return body
    kept = (body[segment.start : segment.end] for segment in segments if segment.marker in _KEPT)
    return b"".join([body[:2], *kept, body[segments[-1].end :]])


def _segments(body: bytes, place: int) -> Iterator[_Segment]:
    """The segments from a place on, up to a scan's header, which is the last. Raises RejectError where there is no scan."""
    before = place
    while (found := _MARKER.search(body, place)) is not None:
        marker, place = found[1][0], found.end()
        if marker in _ALONE:
            continue
        if marker == _EOI:
            raise RejectError(Reason.TRUNCATED, "JPEG: it ends before its picture")
        if marker not in _KEPT and marker != _DNL:
            raise RejectError(Reason.DECODER_FAILED, f"JPEG: marker 0x{marker:02X} in its header")
        length = int.from_bytes(body[place : place + 2])
        if len(body) < place + max(2, length):
            break
        if length < 2:
            raise RejectError(Reason.DECODER_FAILED, f"JPEG: a segment of {length} bytes")
        place += length
        yield _Segment(marker, found.start(), place, not body[before : found.start()].strip(b"\xff"))  # bytes that fill
        before = place
        if marker == _SOS:
            return
    raise RejectError(Reason.TRUNCATED, "JPEG: it ends in its header")


class _Coverage:
    """Which bits of which coefficients the scans have brought so far."""

    def __init__(self, marker: int, frame: bytes) -> None:
        self._progressive = marker == _PROGRESSIVE
        self._lowest = {component: [-1] * _COEFFICIENTS for component in frame[6::3]}  # bit; -1 where there is none

    def add(self, scan: bytes) -> None:
        """A scan by its header."""
        count = scan[0] if scan else 0
        first, last, bits = scan[1 + 2 * count : 4 + 2 * count].ljust(3, b"\0")
        if not self._progressive:
            first, last, bits = 0, _COEFFICIENTS - 1, 0
        for component in scan[1 : 1 + 2 * count : 2]:
            lowest = self._lowest.get(component, [0] * _COEFFICIENTS)
            lowest[first : last + 1] = [bits & 15] * len(lowest[first : last + 1])

    def whole(self) -> bool:
        return not any(bit for lowest in self._lowest.values() for bit in lowest)


def decodable(body: bytes) -> list[bytes]:
    """What to give to Pillow in place of a JPEG that is `regular`, so that a picture which ends early is found.

    It must read all of these; the last is the picture, under the same header.

    A file of one scan gets other bytes in place of its end: libjpeg then asks for more where the scan is too short, and Pillow
    raises. Of several scans all must be there (raises RejectError otherwise) and, where planes.c was compiled, hold all that
    they should. Raises RejectError for more than `MOST_SCANS`, too.
    """
    segments = list(_segments(body, 2))
    frames = [segment for segment in segments if segment.marker in _FRAMES]
    if len(frames) != 1 or frames[0].marker not in (*_SEQUENTIAL, _PROGRESSIVE):
        return [body]
    marker, frame = frames[0].marker, frames[0].content(body)
    coverage = _Coverage(marker, frame)
    for _ in range(MOST_SCANS):
        header = segments[-1]
        scan = header.content(body)
        coverage.add(scan)
        end, behind = _end(body, header.end, segments)
        if marker in _SEQUENTIAL and scan[:1] == frame[5:6]:  # all components at once: libjpeg reads no other scan
            endless = body[:end] + READ_AHEAD
            return [endless] if behind == _EOI else [body, endless]
        try:
            segments += _segments(body, end)
        except RejectError:
            break
    else:
        raise RejectError(Reason.DECODER_FAILED, f"JPEG: more than {MOST_SCANS} scans")
    if not coverage.whole() or jpeg_planes.ends_early(body):
        raise RejectError(Reason.TRUNCATED, "JPEG")
    return [body]


def _end(body: bytes, start: int, segments: list[_Segment]) -> tuple[int, int | None]:
    """Where a scan ends, and the marker there; restart markers are none where they are asked for."""
    intervals = [segment.content(body) for segment in segments if segment.marker == _DRI]
    found = (_AFTER_SCAN if intervals and any(intervals[-1][:2]) else _MARKER).search(body, start)
    if found is None:
        return len(body), None
    end = found.start()
    while end > start and body[end - 1] == 0xFF:  # bytes that fill, before a marker
        end -= 1
    return end, found[1][0]
