"""Finds the XMP packets and the C2PA manifest stores of an image file. Only their packing is undone, and all is bounded.

XMP: ISO 16684 and Adobe's XMP specification, part 3. C2PA: its specification 2.1, appendix A (embedding manifests).
"""

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

Kind = Literal["xmp", "c2pa"]
MAX_BLOCK = 1 << 22  # bytes of a packet or store, decompressed; what exceeds it is not read
MAX_PARTS = 4096  # segments or chunks of a file that are looked at
_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_MORE = b"http://ns.adobe.com/xmp/extension/\0"
_MORE_HEAD = 40  # bytes after that: digest, length and offset
_APP1, _APP11, _SCAN, _END = 0xE1, 0xEB, 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset([0x01, *range(0xD0, 0xD8)])
_BOX_PIECE = struct.Struct(">2sHI4s4s")  # of an APP11 segment: JP, box instance, sequence number, box length, box type
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TEXTS = frozenset([b"iTXt", b"tEXt", b"zTXt"])
_XMP_KEYWORD, _RAW_KEYWORD = b"XML:com.adobe.xmp", b"Raw profile type xmp"
_GIF_XMP, _GIF_C2PA = b"\x21\xff\x0bXMP DataXMP", b"\x21\xff\x0bC2PA_GIF"
_GIF_HEAD = 14  # bytes of an application extension before its data
_PACKET = re.compile(rb"<(?:\w+:)?xmpmeta\b")
_PACKET_END = b"xmpmeta>"
_STORE = b"jumdc2pa"  # how the description of a manifest store begins, eight bytes into its box and before its length
_STORE_HEAD = 12  # bytes of the box before that


def metadata_blocks(body: bytes) -> Iterator[tuple[Kind, bytes]]:
    """Yields the packets and stores in a file. A damaged one is yielded as far as it goes, or left out; nothing is raised."""
    if body.startswith(b"\xff\xd8"):
        yield from _of_jpeg(body)
    elif body.startswith(_PNG):
        yield from _of_png(body)
    elif body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        yield from _of_webp(body)
    elif body.startswith((b"GIF87a", b"GIF89a")):
        yield from _of_gif(body)
    else:  # AVIF and TIFF store them in one piece
        yield from _in_one_piece(body)


def _of_jpeg(body: bytes) -> Iterator[tuple[Kind, bytes]]:
    more, boxes, offset = list[bytes](), dict[int, list[bytes]](), 2
    size = 0
    for _ in range(MAX_PARTS):
        if offset + 4 > len(body) or body[offset] != 0xFF:
            break
        marker = body[offset + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            offset += 1 if marker == 0xFF else 2
            continue
        if marker in (_SCAN, _END):
            break
        start, end = offset + 4, offset + 2 + int.from_bytes(body[offset + 2 : offset + 4])
        offset = max(end, start)
        if marker == _APP1 and body.startswith(_XMP_SEGMENT, start):
            yield "xmp", body[start + len(_XMP_SEGMENT) : end]
        elif size > MAX_BLOCK:
            continue
        elif marker == _APP1 and body.startswith(_XMP_MORE, start):
            more.append(body[start + len(_XMP_MORE) + _MORE_HEAD : end])
            size += len(more[-1])
        elif marker == _APP11 and body.startswith(b"JP", start) and end - start > _BOX_PIECE.size:
            _, instance, _, length, kind = _BOX_PIECE.unpack_from(body, start)
            pieces = boxes.setdefault(instance, [])
            skipped = _BOX_PIECE.size + (8 if length == b"\0\0\0\1" else 0)
            pieces.append((length + kind if not pieces else b"") + body[start + skipped : end])
            size += end - start
    if more:
        yield "xmp", b"".join(more)
    for pieces in boxes.values():
        yield "c2pa", b"".join(pieces)


def _of_png(body: bytes) -> Iterator[tuple[Kind, bytes]]:
    offset = len(_PNG)
    for _ in range(MAX_PARTS):
        if offset + 8 > len(body):
            return
        length, kind = int.from_bytes(body[offset : offset + 4]), body[offset + 4 : offset + 8]
        start, offset = offset + 8, offset + 12 + length
        if kind == b"caBX":
            yield "c2pa", body[start : start + min(length, MAX_BLOCK)]
        elif kind in _PNG_TEXTS and body.startswith((_XMP_KEYWORD, _RAW_KEYWORD), start):
            yield "xmp", _png_text(kind, body[start : start + min(length, MAX_BLOCK)])


def _png_text(kind: bytes, content: bytes) -> bytes:
    keyword, _, rest = content.partition(b"\0")
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    elif packed:
        rest = rest[1:]
    if packed:
        rest = _inflated(rest)
    return _from_hex(rest) if keyword == _RAW_KEYWORD else rest


def _inflated(packed: bytes) -> bytes:
    with suppress(zlib.error):
        return zlib.decompressobj().decompress(packed, MAX_BLOCK)
    return b""


def _from_hex(text: bytes) -> bytes:
    """Undoes ImageMagick's packing: a name, a length, and the packet in hexadecimal digits."""
    digits = b"".join(text.split()[2:])
    with suppress(ValueError):
        return bytes.fromhex(digits[: len(digits) & ~1].decode("ascii", "replace"))
    return b""


def _of_webp(body: bytes) -> Iterator[tuple[Kind, bytes]]:
    offset = 12
    for _ in range(MAX_PARTS):
        if offset + 8 > len(body):
            return
        kind, length = body[offset : offset + 4], int.from_bytes(body[offset + 4 : offset + 8], "little")
        start, offset = offset + 8, offset + 8 + length + (length & 1)
        if kind in (b"XMP ", b"C2PA"):
            yield ("xmp" if kind == b"XMP " else "c2pa"), body[start : start + min(length, MAX_BLOCK)]


def _of_gif(body: bytes) -> Iterator[tuple[Kind, bytes]]:
    found = body.find(_GIF_XMP)
    if found >= 0:
        yield "xmp", body[found + _GIF_HEAD : found + _GIF_HEAD + MAX_BLOCK]
    found = body.find(_GIF_C2PA)
    if found < 0:
        return
    pieces, offset, size = list[bytes](), found + _GIF_HEAD, 0
    while offset < len(body) and (length := body[offset]) and size < MAX_BLOCK:
        pieces.append(body[offset + 1 : offset + 1 + length])
        offset, size = offset + 1 + length, size + length
    yield "c2pa", b"".join(pieces)


def _in_one_piece(body: bytes) -> Iterator[tuple[Kind, bytes]]:
    found = _PACKET.search(body)
    if found is not None:
        end = body.find(_PACKET_END, found.end(), found.start() + MAX_BLOCK)
        yield "xmp", body[found.start() : end if end >= 0 else found.start() + MAX_BLOCK]
    place = body.find(_STORE)
    if place >= 0:
        yield "c2pa", body[max(0, place - _STORE_HEAD) : place + MAX_BLOCK]
