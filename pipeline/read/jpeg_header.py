"""What a JPEG's markers say, read before any decoder sees it. ITU-T T.81, annex B."""

import struct

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
# Start of frame: baseline, extended and progressive with Huffman codes. What else begins with C (but for DHT, the Huffman
# tables) is lossless, hierarchical or arithmetic: decoders differ over it, and some crash.
FRAMES = frozenset([0xC0, 0xC1, 0xC2])
REFUSED = frozenset(range(0xC0, 0xD0)) - FRAMES - {0xC4}
ENDING = REFUSED | {0, SOI, EOI}  # nothing that begins so is read on
COMPONENTS = (1, 3, 4)  # grey, YCbCr or RGB, CMYK or YCCK
ALONE = frozenset([0x01, *range(0xD0, 0xD8)])  # markers that have no segment
SEGMENT = struct.Struct(">BBH").unpack_from  # 0xFF, marker, bytes from here on
FRAME = struct.Struct(">BHHB").unpack_from  # bits of a sample, height, width, components
END_OF_IMAGE, START_OF_SCAN = b"\xff\xd9", b"\xff\xda"


def frame_size(jpeg: bytes) -> tuple[int, int] | None:
    """(width, height) of an 8-bit JPEG whose header is whole, up to its first scan; None for everything else.

    DALI 2.4 has been seen to crash the process over headers that are refused here: nothing else may be given to it."""
    if jpeg[:2] != b"\xff\xd8":
        return None
    place, found, length = 2, None, len(jpeg)
    while place + 4 <= length:
        lead, marker, size = SEGMENT(jpeg, place)
        if lead != 0xFF:
            return None
        if marker == 0xFF or marker in ALONE:  # fill bytes may stand before a marker
            place += 1 if marker == 0xFF else 2
            continue
        if size < 2 or marker in ENDING:
            return None
        if marker == SOS:
            return found if place + 2 + size <= length else None
        if marker in FRAMES:
            if found or size < 8 or place + 2 + size > length:
                return None
            bits, height, width, components = FRAME(jpeg, place + 4)
            if bits != 8 or components not in COMPONENTS or size != 8 + 3 * components or not (width and height):
                return None
            found = width, height
        place += 2 + size
    return None


def is_whole(jpeg: bytes) -> bool:
    """Whether a JPEG has an end after its last scan. Decoders differ in what they make of one that was cut before it was
    stored (a region decoder may never get to the cut), so it is a hole for all of them."""
    return jpeg.endswith(END_OF_IMAGE) or jpeg.rfind(END_OF_IMAGE) > jpeg.rfind(START_OF_SCAN)
