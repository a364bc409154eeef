"""Identifies bytes that no image reader accepts, so that a reject's detail says what hosts send in place of images."""

import re
from collections.abc import Container
from typing import Literal

from tagmill.ingest.images.rejected import Rejected
from tagmill.ingest.reasons import Reason

_LOOK = 1024  # bytes of a text that are examined
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II\x2a\0", "TIFF"),
    (b"MM\0\x2a", "TIFF"),
    (b"II\x2b\0", "TIFF"),
    (b"MM\0\x2b", "TIFF"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"),
    (b"%PDF-", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\2\0", "ICO"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x1aE\xdf\xa3", "WebM or Matroska video"),
    (b"FLV\1", "Flash video"),
    (b"ID3", "MP3"),
    (b"wOF2", "font"),
    (b"wOFF", "font"),
)
_BOX = 4, 8  # offsets of `ftyp` in a file of the ISO base media format
_BRANDS = (
    (frozenset([b"avif", b"avis"]), "AVIF"),
    (frozenset([b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]), "HEIC"),
)
_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}  # size of a value by its type
_HTML = re.compile(
    rb"<!doctype\s+html|<html[\s>]|<head[\s>]|<body[\s>]|<script[\s>]|<title[\s>]|<meta\s", re.IGNORECASE
)
_SVG = re.compile(rb"<(?:\w+:)?svg[\s>]|<!doctype\s+svg", re.IGNORECASE)
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def explain_unreadable(body: bytes, formats: Container[str]) -> Rejected:
    """Returns why Pillow cannot open the bytes with `formats` (Pillow's names): truncated, something else, or broken."""
    kind = kind_of(body)
    cut = kind is not None and kind.upper() in formats and _is_cut(body, kind)
    return Rejected(Reason.TRUNCATED if cut else Reason.NOT_AN_IMAGE, kind)


def kind_of(body: bytes) -> str | None:
    """Returns what the bytes begin as, in the words of a reject's detail; None if unknown."""
    for magic, kind in _MAGIC:
        if body.startswith(magic):
            return kind
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP"[: len(body[8:12])]:
        return "WebP"
    if body[slice(*_BOX)] == b"ftyp":
        return _kind_by_brand(body)
    if not body.strip(b"\0"):
        return "zeros"
    return _kind_of_text(body[:_LOOK])


def _kind_by_brand(body: bytes) -> str:
    """Identifies an ISO base media file by its major brand, then by its compatible brands."""
    length = min(int.from_bytes(body[:4]), _LOOK)
    brands = [body[8:12], *(body[offset : offset + 4] for offset in range(16, length, 4))]
    for brand in brands:
        for those, kind in _BRANDS:
            if brand in those and not (brand in (b"mif1", b"msf1") and {b"avif", b"avis"} & set(brands)):
                return kind
    return "MP4 video"


def _kind_of_text(head: bytes) -> str | None:
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            head = head[len(bom) :].decode(encoding, "ignore").encode()
    text = head.strip()
    if not text:
        return "blank"
    if _HTML.search(text) and text.startswith(b"<"):
        return "HTML"
    if text.startswith(b"<"):
        return "SVG" if _SVG.search(text) else "XML" if text.startswith(b"<?xml") else "markup"
    if text[:1] in (b"{", b"["):
        return "JSON"
    printable = not any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in text)
    return "text" if printable else None


def _is_cut(body: bytes, kind: str) -> bool:
    """Returns whether an image's own length fields say that it should be longer."""
    if kind == "WebP":
        return len(body) < 8 + int.from_bytes(body[4:8], "little")
    if kind == "AVIF":
        return _boxes_end(body) > len(body)
    if kind == "TIFF":
        return len(body) < _directory_end(body)
    if kind == "BMP":
        return len(body) < max(26, int.from_bytes(body[10:14], "little"))
    return kind == "GIF" and not body.endswith(b";")


def _directory_end(body: bytes) -> int:
    """Returns where the first directory of a TIFF and its values should end; of a BigTIFF, its header."""
    order: Literal["little", "big"] = "little" if body[:1] == b"I" else "big"
    if len(body) < 8 or int.from_bytes(body[2:4], order) != 42:
        return 16
    start = int.from_bytes(body[4:8], order) + 2
    end = start + 12 * int.from_bytes(body[start - 2 : start], order)
    ends = [end]
    for offset in range(start, min(end, len(body)), 12):
        kind, count, value = (
            int.from_bytes(body[offset + i : offset + j], order) for i, j in ((2, 4), (4, 8), (8, 12))
        )
        size = _TIFF_BYTES.get(kind, 0) * count
        ends.append(value + size if size > 4 else 0)
    return max(ends)


def _boxes_end(body: bytes) -> int:
    """Returns where the last ISO base media box that begins in the bytes should end."""
    offset = 0
    while offset < len(body):
        length, head = int.from_bytes(body[offset : offset + 4]), 8
        if length == 1:
            length, head = int.from_bytes(body[offset + 8 : offset + 16]), 16
        if length == 0:  # extends to the end of the file
            return len(body)
        offset += max(length, head)
    return offset
