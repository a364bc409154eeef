"""Mutated files of six formats: whatever is stored, Pillow's own `load()` reads from the file without unneeded chunks.

TAGMILL_MUTATED=10000 pytest tests/ingest/images/test_prepare_mutated.py tries that many files; the default is 500.
"""

import io
import os
import re
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images.prepare import Prepared, prepare
from tagmill.ingest.images.rejected import Rejected
from tagmill.ingest.reasons import Reason
from tagmill.pipeline.read.jpeg_header import frame_size, is_whole

FILES = int(os.environ.get("TAGMILL_MUTATED", "500"))
SEED = 20261128
POLICIES = [
    ImagePolicy(48, 90, 8, 1_000_000),
    ImagePolicy(70, 90, 8, 1_000_000, restart_interval="auto"),
    ImagePolicy(48, 90, 8, 1_000_000, resize="center_crop"),
    ImagePolicy(48, 90, 8, 1_000_000, resize="no", reencode="auto"),
    ImagePolicy(48, 90, 8, 1_000_000, resize="no", reencode="auto", restart_interval="auto"),
]
Rng = np.random.Generator


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def originals() -> dict[str, list[bytes]]:
    rng = np.random.default_rng(SEED)
    few = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    smooth = np.asarray(few.resize((120, 90), Image.Resampling.BICUBIC)).astype(np.int64)
    image = Image.fromarray(np.clip(smooth + rng.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    alpha = image.convert("RGBA")
    alpha.putalpha(image.convert("L"))
    return {
        "JPEG": [
            saved(image, "JPEG", quality=90),
            saved(image, "JPEG", quality=90, progressive=True, exif=exif),
            saved(image, "JPEG", quality=90, restart_marker_blocks=4, comment=b"by me"),
            saved(image.convert("L"), "JPEG"),
        ],
        "PNG": [
            saved(image, "PNG", exif=exif, icc_profile=b"none"),
            saved(image.quantize(32), "PNG", transparency=3),
            saved(alpha, "PNG"),
            saved(deep, "PNG", transparency=257),
            saved(image.convert("1"), "PNG"),
        ],
        "GIF": [saved(image, "GIF"), saved(image, "GIF", save_all=True, append_images=[image.rotate(90)])],
        "WEBP": [saved(image, "WEBP", exif=exif), saved(alpha, "WEBP", lossless=True)],
        "TIFF": [
            saved(image, "TIFF", exif=exif),
            *(saved(image, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg")),
            saved(deep, "TIFF"),
        ],
        "BMP": [saved(image, "BMP"), saved(image.quantize(16), "BMP")],
    }


def flipped(body: bytes, rng: Rng) -> bytes:
    made = bytearray(body)
    for _ in range(int(rng.integers(1, 9))):
        made[int(rng.random() ** 2 * len(made))] ^= 1 << int(rng.integers(8))  # the square favours the header
    return bytes(made)


def one_flipped(body: bytes, rng: Rng) -> bytes:
    made = bytearray(body)
    made[int(rng.integers(len(made)))] = int(rng.integers(256))
    return bytes(made)


def cut(body: bytes, rng: Rng) -> bytes:
    return body[: int(rng.integers(1, len(body)))]


def cut_and_ended(body: bytes, rng: Rng) -> bytes:
    end = {b"\xff\xd8": b"\xff\xd9", b"GI": b"\0;", b"\x89P": body[-12:]}.get(body[:2], b"")
    return cut(body, rng) + end


def without_some(body: bytes, rng: Rng) -> bytes:
    at = int(rng.integers(len(body)))
    return body[:at] + body[at + int(rng.integers(1, 40)) :]


def with_some(body: bytes, rng: Rng) -> bytes:
    at = int(rng.random() ** 2 * len(body))
    return body[:at] + rng.bytes(int(rng.integers(1, 40))) + body[at:]


def repeated(body: bytes, rng: Rng) -> bytes:
    start, end = sorted(int(rng.integers(len(body))) for _ in range(2))
    return body[:end] + body[start:]


def number_changed(body: bytes, rng: Rng) -> bytes:
    """A length or a size of another value."""
    made, at = bytearray(body), int(rng.integers(min(len(body) - 4, 400)))
    value = int(rng.choice([0, 1, 2, 255, 256, 65535, 1 << 20, (1 << 32) - 1]))
    made[at : at + 4] = struct.pack(rng.choice([">I", "<I"]), value)
    return bytes(made)


def checksums_mended(body: bytes, rng: Rng) -> bytes:
    """Altered, and a PNG's checksums set right, so that its readers get to see it."""
    made, place = bytearray(flipped(body, rng)), 8
    while body[:2] == b"\x89P" and place + 12 <= len(made):
        end = place + 8 + int.from_bytes(made[place : place + 4])
        made[end : end + 4] = zlib.crc32(bytes(made[place + 4 : end])).to_bytes(4)
        place = end + 4
    return bytes(made)


MUTATIONS: list[Callable[[bytes, Rng], bytes]] = [
    *(flipped, one_flipped, cut, cut_and_ended, without_some, with_some, repeated, number_changed, checksums_mended)
]


def without_ancillary(body: bytes) -> bytes:
    """A PNG's critical chunks and its transparency; a JPEG without what applications say, comments, and what libjpeg skips."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        kept, place = [body[:8]], 8
        while place + 8 <= len(body):
            end = place + 12 + int.from_bytes(body[place : place + 4])
            kind = body[place + 4 : place + 8]
            kept.append(body[place:end] if kind[:1].isupper() or kind == b"tRNS" or not kind.isalpha() else b"")
            place = end
        return b"".join(kept)
    if body.startswith(b"\xff\xd8"):
        kept, place = [body[:2]], 2
        while found := re.compile(rb"\xff+([^\x00\xff])", re.DOTALL).search(body, place):
            marker, place = found[1][0], found.end()
            if marker == 1 or 0xD0 <= marker <= 0xD7:
                continue
            if marker == 0xDA or marker == 0xD9:
                return b"".join([*kept, b"\xff", body[place - 1 :]])
            end = place + int.from_bytes(body[place : place + 2])
            if not 0xE0 <= marker <= 0xED and marker not in (0xEF, 0xFE):
                kept.append(body[place - 2 : end])
            place = end
    return body


def examined(body: bytes, policy: ImagePolicy) -> Prepared | Rejected:
    """What is made of a file, held to what Pillow says of it."""
    made = prepare(body, policy)
    if isinstance(made, Rejected):
        assert made.reason != Reason.DECODER_CRASHED
        return made
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(without_ancillary(body))) as image:
            image.load()
            assert sorted(image.size) == sorted((made.original_width, made.original_height))
    assert frame_size(made.jpeg) == (made.width, made.height) and is_whole(made.jpeg)
    pixels = np.asarray(Image.open(io.BytesIO(made.jpeg)))
    if policy.restart_interval:
        plain = prepare(body, replace(policy, restart_interval=0))
        assert isinstance(plain, Prepared) and np.array_equal(plain.thumbnail, made.thumbnail)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(plain.jpeg))), pixels)
    return made


@pytest.mark.filterwarnings("ignore")
def test_stored_images_of_mutated_files_equal_pillows() -> None:
    bodies, fates = originals(), Counter[str]()
    for kind, some in bodies.items():
        for body in some:
            assert isinstance(prepare(body, POLICIES[0]), Prepared), kind
    for number in range(FILES):
        rng = np.random.default_rng([SEED, number])
        kind = list(bodies)[number % len(bodies)]
        body = bodies[kind][int(rng.integers(len(bodies[kind])))]
        mutate = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
        altered = mutate(body, rng)
        try:
            made = examined(altered, POLICIES[int(rng.integers(len(POLICIES)))])
        except Exception as error:
            raise AssertionError(f"file {number}, {kind}, {mutate.__name__}") from error
        fates[made.reason if isinstance(made, Rejected) else "stored"] += 1
    print(dict(fates))
    assert fates["stored"] > FILES // 20 and fates[Reason.TRUNCATED] > FILES // 20
