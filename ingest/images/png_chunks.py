"""A PNG reduced to the chunks that its stored picture needs, and whether its pixels are all there. PNG, third edition.

Pillow refuses a whole picture for metadata that is large or damaged, and takes a stream of pixels that ends early, but in
order, for a whole one. Here what is not needed is passed over, whatever it is.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from PIL import Image

from tagmill.ingest.images.rejected import RejectError
from tagmill.ingest.reasons import Reason

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_METADATA = 1 << 24  # bytes of a profile or a text when it is unpacked; a JPEG's profile cannot be longer
_HEAD = struct.Struct(">I4s")  # bytes of the content, kind
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits of a sample, kind of pixels, packing, filter, interlacing
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by kind of pixels
_GREY, _RGB, _PALETTE = 0, 2, 3
_METADATA = frozenset([b"eXIf", b"tEXt", b"zTXt", b"iTXt"])
_READ = _METADATA | {b"iCCP", b"tRNS"}  # and critical ones
_TEXTS = (b"XML:com.adobe.xmp", b"Raw profile type exif")  # that Pillow finds an orientation in
_DEFLATE = 1032  # to one: it packs no better (258 bytes in two bits)
_PIECE = 1 << 20  # bytes that are unpacked at once
# First column and row of Adam7's passes, and steps to the next.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    content: memoryview
    whole: memoryview  # with its length, kind and checksum
    sound: bool  # whether its checksum is right


@dataclass(frozen=True, slots=True)
class Png:
    """What was read of a PNG."""

    body: bytes  # the file without what is not needed
    profile: bytes | None  # ICC, unpacked
    pixels: list[memoryview]  # the packed stream
    unpacked: int  # bytes that it must give
    interlaced: bool

    def check_size(self) -> None:
        """Raises RejectError where so few bytes cannot hold the picture: it need not be decoded to know that."""
        packed = sum(map(len, self.pixels))
        if self.unpacked > _DEFLATE * (packed + 1):
            raise RejectError(Reason.TRUNCATED, f"PNG: {packed} bytes cannot hold {self.unpacked}")

    def check_rows(self, image: Image.Image) -> None:
        """Raises RejectError where the stream of pixels ended before the decoded picture did.

        Rows come in order into memory that is zero, so a last row that is not zero says that all have come. Otherwise they are
        counted, which takes a third of the time of decoding.
        """
        last = image.crop((0, image.height - 1, *image.size)).tobytes()
        if (self.interlaced or not last.strip(b"\0")) and not _gives(self.pixels, self.unpacked):
            raise RejectError(Reason.TRUNCATED, "PNG: fewer rows than its header says")


def is_png(body: bytes) -> bool:
    """Whether the bytes begin as a PNG does."""
    return body.startswith(SIGNATURE)


def read(body: bytes) -> Png:
    """Raises RejectError where header, palette or transparency are cut or damaged, or missing."""
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
        elif chunk.kind[:1].isupper():  # critical, and not where or what it should be
            _require_sound(chunk)
    if not header:
        raise RejectError(Reason.TRUNCATED, "PNG: it ends in its header")
    if header[3] == _PALETTE and b"PLTE" not in needed:
        raise RejectError(Reason.DECODER_FAILED, "PNG: no palette")
    parts = [SIGNATURE, *needed.values(), *metadata.values(), *(chunk.whole for chunk in data)]
    if not data or len(data[-1].whole) == 12 + len(data[-1].content):  # or it would be taken for pixels
        parts.append(_made(b"IEND", b""))
    return Png(b"".join(parts), profile, [chunk.content for chunk in data], _unpacked(header), header[6] != 0)


def _chunks(body: bytes) -> Iterator[_Chunk]:
    """The chunks up to the end; one that is cut is the last, and is given if it holds pixels.

    Raises RejectError where something else than a chunk stands before the pixels.
    """
    view, place, begun = memoryview(body), len(SIGNATURE), False
    while place + _HEAD.size <= len(body):
        length, kind = _HEAD.unpack_from(body, place)
        start, end = place + _HEAD.size, place + _HEAD.size + length
        whole, place = view[place : end + 4], end + 4
        if kind == b"IDAT":
            begun = True
            yield _Chunk(kind, view[start:end], whole, sound=True)  # the stream of pixels has a checksum of its own
        elif place > len(body) or kind == b"IEND":
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
    """The palette, or what is transparent, in Pillow's words: it compares the key with samples that it has made 8 bits wide."""
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
    return {chunk.kind: _made(chunk.kind, struct.pack(f">{len(key)}H", *key))}


def _profile(content: bytes) -> bytes | None:
    """A name, 0, the packing (0), and the packed profile; None where it is damaged, or too long."""
    _, _, rest = content.partition(b"\0")
    return _inflated(rest[1:]) if rest[:1] == b"\0" else None


def _text(chunk: _Chunk) -> dict[bytes, bytes | memoryview]:
    """What may hold an orientation; a text unpacked, as Pillow takes long ones that way only."""
    if chunk.kind == b"eXIf":
        return {chunk.kind: chunk.whole}
    keyword, _, rest = bytes(chunk.content).partition(b"\0")
    if keyword not in _TEXTS:
        return {}
    if chunk.kind == b"tEXt":
        return {keyword: chunk.whole} if len(rest) <= MOST_METADATA else {}
    if chunk.kind == b"zTXt":
        text = _inflated(rest[1:]) if rest[:1] == b"\0" else None
        return {} if text is None else {keyword: _made(b"tEXt", keyword + b"\0" + text)}
    packed, packing, parts = rest[:1], rest[1:2], rest[2:].split(b"\0", 2)
    if len(parts) < 3 or packed not in (b"\0", b"\1") or (packed == b"\1" and packing != b"\0"):
        return {}
    text = _inflated(parts[2]) if packed == b"\1" else parts[2]
    if text is None or len(text) > MOST_METADATA:
        return {}
    return {keyword: _made(b"iTXt", keyword + b"\0\0\0" + b"\0".join([*parts[:2], text]))}


def _inflated(packed: bytes) -> bytes | None:
    """None where it is damaged, or longer than `MOST_METADATA`."""
    inflate = zlib.decompressobj()
    try:
        made = inflate.decompress(packed, MOST_METADATA + 1)
    except zlib.error:
        return None
    return made if len(made) <= MOST_METADATA else None


def _made(kind: bytes, content: bytes) -> bytes:
    return _HEAD.pack(len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


def _unpacked(header: tuple[int, ...]) -> int:
    """Bytes of all rows, each with the byte of its filter."""
    width, height, bits, kind, _, _, interlaced = header
    pixel = bits * _CHANNELS.get(kind, 1)
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    sizes = ((-(-(width - x) // across), -(-(height - y) // down)) for x, y, across, down in passes)
    return sum((1 + -(-columns * pixel // 8)) * rows for columns, rows in sizes if columns > 0 and rows > 0)


def _gives(pixels: Iterable[memoryview], wanted: int) -> bool:
    """Whether a packed stream has as many bytes, whatever they are."""
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
