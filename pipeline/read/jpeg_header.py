"""Reads a JPEG's markers, before a decoder sees the image. ITU-T T.81, annex B."""

import struct

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
# Start of frame: baseline, extended and progressive with Huffman codes. All other codes 0xC0 to 0xCF (except DHT, the
# Huffman tables) are lossless, hierarchical or arithmetic: decoders disagree about them, and some crash.
FRAMES = frozenset([0xC0, 0xC1, 0xC2])
REFUSED = frozenset(range(0xC0, 0xD0)) - FRAMES - {0xC4}
STOP = REFUSED | {0, SOI, EOI}  # markers at which parsing stops
COMPONENTS = (1, 3, 4)  # greyscale, YCbCr or RGB, CMYK or YCCK
WITHOUT_SEGMENT = frozenset([0x01, *range(0xD0, 0xD8)])  # markers without a segment
SEGMENT = struct.Struct(">BBH").unpack_from  # 0xFF, marker, segment length including itself
FRAME = struct.Struct(">BHHB").unpack_from  # bits of a sample, height, width, components
END_OF_IMAGE, START_OF_SCAN = b"\xff\xd9", b"\xff\xda"


def frame_size(jpeg: bytes) -> tuple[int, int] | None:
    """Returns (width, height) of an 8-bit JPEG whose header is complete up to its first scan; None for everything else.

    Pass no other JPEG to DALI: headers that are refused here have crashed the process with DALI 2.4.
    """
    if jpeg[:2] != b"\xff\xd8":
        return None
    at, found, length = 2, None, len(jpeg)
    while at + 4 <= length:
        lead, marker, size = SEGMENT(jpeg, at)
        if lead != 0xFF:
            return None
        if marker == 0xFF or marker in WITHOUT_SEGMENT:  # fill bytes may precede a marker
            at += 1 if marker == 0xFF else 2
            continue
        if size < 2 or marker in STOP:
            return None
        if marker == SOS:
            return found if at + 2 + size <= length else None
        if marker in FRAMES:
            if found or size < 8 or at + 2 + size > length:
                return None
            bits, height, width, components = FRAME(jpeg, at + 4)
            if bits != 8 or components not in COMPONENTS or size != 8 + 3 * components or not (width and height):
                return None
            found = width, height
        at += 2 + size
    return None


def is_whole(jpeg: bytes) -> bool:
    """Returns whether a JPEG has an end marker after its last scan. Decoders disagree about files that were truncated
    before they were stored (a region decoder may never reach the end), so those are holes for all decoders."""
    return jpeg.endswith(END_OF_IMAGE) or jpeg.rfind(END_OF_IMAGE) > jpeg.rfind(START_OF_SCAN)
