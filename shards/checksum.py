"""The crc32 of pictures (zlib's, as the index holds it), by ISA-L: every byte that is trained on passes through here."""

from isal import isal_zlib

# isal's function gives the interpreter's lock away over more than 5,120 bytes. A piece takes it a tenth of a microsecond, and
# to get the lock back among a dozen threads takes tens.
PIECE = 4096


def crc32(data: bytes | memoryview) -> int:
    """Of some bytes, from 0 to 2^32 - 1."""
    if len(data) <= PIECE:
        return isal_zlib.crc32(data)
    found, view = 0, memoryview(data)
    for place in range(0, len(data), PIECE):
        found = isal_zlib.crc32(view[place : place + PIECE], found)
    return found
