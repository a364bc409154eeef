"""Reduces a PNG to the chunks that its stored image needs, and checks that its pixels are complete. PNG, third edition.

Pillow refuses a whole image for metadata that is large or damaged, and accepts a pixel stream that ends early in a
valid state. Here, chunks that are not needed are skipped whatever they hold.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from PIL import Image

from tagmill.ingest.images.rejected import RejectError
from tagmill.ingest.reasons import Reason

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_METADATA_BYTES = 1 << 24  # bytes of a decompressed profile or text; a JPEG profile cannot be longer
_HEAD = struct.Struct(">I4s")  # content length in bytes, chunk type
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bit depth, colour type, compression, filter, interlace
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_GREY, _RGB, _PALETTE = 0, 2, 3
_METADATA = frozenset([b"eXIf", b"tEXt", b"zTXt", b"iTXt"])
_READ = _METADATA | {b"iCCP", b"tRNS"}  # besides the critical chunks
_TEXTS = (b"XML:com.adobe.xmp", b"Raw profile type exif")  # in which Pillow finds an orientation
_DEFLATE = 1032  # the best compression ratio of deflate (258 bytes in two bits)
_PIECE = 1 << 20  # bytes that are decompressed at once
# Adam7 passes: first column, first row, column step, row step.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    content: memoryview
    whole: memoryview  # including length, type and checksum
    sound: bool  # its checksum is right


@dataclass(frozen=True, slots=True)
class Png:
    """What was read of a PNG."""

    body: bytes  # the file with only the needed chunks
    profile: bytes | None  # ICC, decompressed
    pixels: list[memoryview]  # the compressed pixel stream
    raw_size: int  # bytes of the decompressed pixel stream
    interlaced: bool

    def check_size(self) -> None:
        """Raises RejectError where the stream is too short for the image even at the best compression; decodes nothing."""
        packed = sum(map(len, self.pixels))
        if self.raw_size > _DEFLATE * (packed + 1):
            raise RejectError(Reason.TRUNCATED, f"PNG: {packed} bytes cannot hold {self.raw_size}")

    def check_rows(self, image: Image.Image) -> None:
        """Raises RejectError where the pixel stream ended before the last row of the decoded image.

        Pillow fills rows in order into zeroed memory, so a last row that is not zero proves that all rows came.
        Otherwise the stream is decompressed once more and counted.
        """
        last = image.crop((0, image.height - 1, *image.size)).tobytes()
        if (self.interlaced or not last.strip(b"\0")) and not _inflates_to(self.pixels, self.raw_size):
            raise RejectError(Reason.TRUNCATED, "PNG: fewer rows than its header says")


def is_png(body: bytes) -> bool:
    """Returns whether the bytes begin with the PNG signature."""
    return body.startswith(SIGNATURE)


def read_png(body: bytes) -> Png:
    """Parses a PNG. Raises RejectError where header, palette or transparency are cut, damaged or missing."""
    header: tuple[int, ...] = ()
    needed: dict[bytes, bytes | memoryview] = {}
    metadata: dict[bytes, bytes | memoryview] = {}
    data: list[_Chunk] = []
    profile: bytes | None = None
    for chunk in _chunks(body):
        if chunk.kind == b"IHDR" and not header:
            header = _header(chunk)
            needed[chunk.kind] = chunk.whole
        elif chunk.kind == b"IDAT":
            if not header:
                raise RejectError(Reason.DECODER_FAILED, "PNG: pixels before its header")
            data.append(chunk)
        elif chunk.kind in (b"PLTE", b"tRNS") and header and not data:
            needed |= _colours(chunk, header)
        elif chunk.kind == b"iCCP" and chunk.sound and not data:
            profile = profile or _profile(bytes(chunk.content))
        elif chunk.kind in _METADATA and chunk.sound:
            metadata |= _text(chunk)
        elif chunk.kind[:1].isupper():  # a critical chunk that is misplaced or unknown
            _require_sound(chunk)
    if not header:
        raise RejectError(Reason.TRUNCATED, "PNG: it ends in its header")
    if header[3] == _PALETTE and b"PLTE" not in needed:
        raise RejectError(Reason.DECODER_FAILED, "PNG: no palette")
    parts = [SIGNATURE, *needed.values(), *metadata.values(), *(chunk.whole for chunk in data)]
    if not data or len(data[-1].whole) == 12 + len(data[-1].content):  # else IEND would be read as pixels
        parts.append(_chunk_bytes(b"IEND", b""))
    return Png(b"".join(parts), profile, [chunk.content for chunk in data], _raw_size(header), header[6] != 0)


def _chunks(body: bytes) -> Iterator[_Chunk]:
    """Yields the chunks up to IEND; a cut chunk is the last, and is yielded if it holds pixels.

    Raises RejectError where something other than a chunk precedes the pixels.
    """
    view = memoryview(body)
    offset = len(SIGNATURE)
    begun = False
    while offset + _HEAD.size <= len(body):
        length, kind = _HEAD.unpack_from(body, offset)
        start, end = offset + _HEAD.size, offset + _HEAD.size + length
        whole, offset = view[offset : end + 4], end + 4
        if kind == b"IDAT":
            begun = True
            yield _Chunk(kind, view[start:end], whole, sound=True)  # the pixel stream has a checksum of its own
        elif offset > len(body) or kind == b"IEND":
            return
        elif not kind.isalpha():
            if begun:
                return
            raise RejectError(Reason.DECODER_FAILED, "PNG: damaged before its pixels")
        elif kind in _READ or kind[:1].isupper():
            sound = zlib.crc32(whole[4:-4]) == int.from_bytes(view[end : end + 4])
            yield _Chunk(kind, view[start:end], whole, sound)


def _require_sound(chunk: _Chunk) -> None:
    if not chunk.sound:
        raise RejectError(Reason.DECODER_FAILED, f"PNG: bad checksum of {chunk.kind.decode()}")


def _header(chunk: _Chunk) -> tuple[int, ...]:
    _require_sound(chunk)
    if len(chunk.content) != _HEADER.size:
        raise RejectError(Reason.DECODER_FAILED, f"PNG: a header of {len(chunk.content)} bytes")
    return _HEADER.unpack(chunk.content)


def _colours(chunk: _Chunk, header: tuple[int, ...]) -> dict[bytes, bytes | memoryview]:
    """Returns the palette, or the transparent colour as Pillow compares it: with samples already reduced to 8 bits."""
    _require_sound(chunk)
    bits, kind = header[2], header[3]
    if chunk.kind == b"PLTE" or kind == _PALETTE:
        return {chunk.kind: chunk.whole}
    if kind not in (_GREY, _RGB):
        return {}  # it has an alpha channel
    wanted = 2 * _CHANNELS[kind]
    if len(chunk.content) < wanted:
        raise RejectError(Reason.DECODER_FAILED, f"PNG: tRNS of {len(chunk.content)} bytes")
    key = struct.unpack(f">{_CHANNELS[kind]}H", chunk.content[:wanted])
    if bits < 16:
        key = tuple(sample & (1 << bits) - 1 for sample in key)
    if bits in (2, 4):
        key = tuple(sample * 255 // ((1 << bits) - 1) for sample in key)
    elif bits == 16 and kind == _RGB:
        key = tuple(sample >> 8 for sample in key)
    return {chunk.kind: _chunk_bytes(chunk.kind, struct.pack(f">{len(key)}H", *key))}


def _profile(content: bytes) -> bytes | None:
    """Decompresses the profile of an iCCP chunk (name, 0, compression 0, data); None if it is damaged or too long."""
    _, _, rest = content.partition(b"\0")
    return _inflated(rest[1:]) if rest[:1] == b"\0" else None


def _text(chunk: _Chunk) -> dict[bytes, bytes | memoryview]:
    """Returns chunks that may hold an orientation; texts are decompressed, as Pillow accepts long ones only that way."""
    if chunk.kind == b"eXIf":
        return {chunk.kind: chunk.whole}
    keyword, _, rest = bytes(chunk.content).partition(b"\0")
    if keyword not in _TEXTS:
        return {}
    if chunk.kind == b"tEXt":
        return {keyword: chunk.whole} if len(rest) <= MAX_METADATA_BYTES else {}
    if chunk.kind == b"zTXt":
        text = _inflated(rest[1:]) if rest[:1] == b"\0" else None
        return {} if text is None else {keyword: _chunk_bytes(b"tEXt", keyword + b"\0" + text)}
    packed, packing, parts = rest[:1], rest[1:2], rest[2:].split(b"\0", 2)
    if len(parts) < 3 or packed not in (b"\0", b"\1") or (packed == b"\1" and packing != b"\0"):
        return {}
    text = _inflated(parts[2]) if packed == b"\1" else parts[2]
    if text is None or len(text) > MAX_METADATA_BYTES:
        return {}
    return {keyword: _chunk_bytes(b"iTXt", keyword + b"\0\0\0" + b"\0".join([*parts[:2], text]))}


def _inflated(packed: bytes) -> bytes | None:
    """Decompresses; None if the data is damaged, or longer than `MAX_METADATA_BYTES`."""
    inflate = zlib.decompressobj()
    try:
        made = inflate.decompress(packed, MAX_METADATA_BYTES + 1)
    except zlib.error:
        return None
    return made if len(made) <= MAX_METADATA_BYTES else None


def _chunk_bytes(kind: bytes, content: bytes) -> bytes:
    return _HEAD.pack(len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


def _raw_size(header: tuple[int, ...]) -> int:
    """Returns the bytes of all rows, each with its filter byte."""
    width, height, bits, kind, _, _, interlaced = header
    pixel = bits * _CHANNELS.get(kind, 1)
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    sizes = ((-(-(width - x) // across), -(-(height - y) // down)) for x, y, across, down in passes)
    return sum((1 + -(-columns * pixel // 8)) * rows for columns, rows in sizes if columns > 0 and rows > 0)


def _inflates_to(pixels: Iterable[memoryview], wanted: int) -> bool:
    """Returns whether a compressed stream yields at least `wanted` bytes."""
    inflate = zlib.decompressobj()
    try:
        for piece in pixels:
            rest: bytes | memoryview = piece
            while rest and wanted > 0 and not inflate.eof:
                wanted -= len(inflate.decompress(rest, _PIECE))
                rest = inflate.unconsumed_tail
    except zlib.error:
        return False
    return wanted <= 0
