"""The crc32 of images (zlib's, as stored in the index), computed by libdeflate for every image that is read.

libdeflate's binding holds the GIL for the ~1 us that a crc32 takes; zlib and ISA-L release it, and re-acquiring it
costs tens of us with a dozen threads.
"""

from deflate import crc32

__all__ = ["crc32"]
