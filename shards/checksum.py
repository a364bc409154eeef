"""The crc32 of pictures (zlib's, as the index holds it), by libdeflate: every byte that is trained on passes through here.

A picture takes a microsecond, and this package keeps the interpreter's lock for it. zlib's and ISA-L's give it away, and to get
it back among a dozen threads takes tens.
"""

from deflate import crc32

__all__ = ["crc32"]
