"""The placeholder of a purged sample: a grey JPEG of one pixel and empty facts, each of exactly as many bytes as
before.

The padding is in comments before the scan, because decoders could take bytes after a JPEG's end for a second image.
Fewer bytes than a comment needs become unused codes of a Huffman table.
"""

COMMENT_MOST = 2 + 0xFFFF  # bytes of a comment segment with its marker
COMMENT_LEAST = 4
UNUSED_MOST = 3  # bytes that are too few for a comment

# ITU-T T.81, annex B: start; one quantisation table of ones; a baseline frame of 1 x 1 with one component.
_START, _END = b"\xff\xd8", b"\xff\xd9"
_DIVISORS = b"\xff\xdb\x00\x43\x00" + b"\x01" * 64
_FRAME = b"\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00"
_SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
_DATA = b"\x3f"  # code 0: no difference to mid-grey; code 0: end of block; padded with ones
_TINY = b"taken down "


def _codes(kind: int, unused: int) -> bytes:
    """Returns a Huffman table whose code 0 means the symbol 0, with `unused` longer codes."""
    counts = bytes(int(length <= unused) for length in range(16))
    return b"\xff\xc4" + (19 + 1 + unused).to_bytes(2, "big") + bytes([kind]) + counts + bytes(range(1 + unused))


def _picture(unused: int) -> tuple[bytes, bytes]:
    """Returns the JPEG before and after its comments."""
    return _START, _DIVISORS + _FRAME + _codes(0x00, unused) + _codes(0x10, 0) + _SCAN + _DATA + _END


SMALLEST = sum(map(len, _picture(0)))  # bytes


def placeholder_jpeg(size: int) -> bytes:
    """Returns the placeholder of `size` bytes, a function of the size alone. Below SMALLEST, where no JPEG fits, it is
    a text."""
    if size < SMALLEST:
        return (_TINY * (size // len(_TINY) + 1))[:size]
    left = size - SMALLEST
    unused = left if left <= UNUSED_MOST else 0
    before, after = _picture(unused)
    comments, left = b"", left - unused
    while left:
        length = min(left, COMMENT_MOST)
        if 0 < left - length < COMMENT_LEAST:
            length -= COMMENT_LEAST
        comments += b"\xff\xfe" + (length - 2).to_bytes(2, "big") + bytes(length - 4)
        left -= length
    return before + comments + after


def is_placeholder(data: bytes) -> bool:
    """Returns whether these bytes are a placeholder."""
    return bool(data) and data == placeholder_jpeg(len(data))


def no_facts(size: int) -> bytes:
    """Returns an empty JSON object of `size` bytes."""
    return b"{}".ljust(size)[:size]
