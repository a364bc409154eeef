"""Encodes images in the formats of the web: as a camera, an editor or a careless resizer would have written them."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Rng = np.random.Generator
Encoder = Callable[[Image.Image, Rng], bytes]

ORIENTATION_TAG = 0x0112
_STORED_AS = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}
"""EXIF orientation -> the rotation (counterclockwise) of the stored pixels that a viewer undoes."""


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(image: Image.Image, rng: Rng) -> bytes:
    """Encodes as JPEG, one in five progressive."""
    return _saved(image, "JPEG", quality=int(rng.integers(74, 93)), progressive=bool(rng.random() < 0.2))


def jpeg_cmyk(image: Image.Image, rng: Rng) -> bytes:
    """Encodes as a four-ink JPEG with Adobe's marker."""
    return _saved(image.convert("CMYK"), "JPEG", quality=int(rng.integers(80, 93)))


def jpeg_rotated(image: Image.Image, rng: Rng) -> bytes:
    """Encodes as JPEG with rotated pixels and the EXIF orientation that sets them upright."""
    orientation = (3, 6, 8)[int(rng.integers(0, 3))]
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return _saved(image.transpose(_STORED_AS[orientation]), "JPEG", quality=88, exif=exif.tobytes())


def png_alpha(image: Image.Image, rng: Rng) -> bytes:
    """Encodes as PNG whose soft round border is transparent."""
    small = _at_most(image, 320)
    alpha = Image.new("L", small.size)
    inset = 4 + int(rng.integers(0, 12))
    area = (inset, inset, small.width - inset, small.height - inset)
    ImageDraw.Draw(alpha).rounded_rectangle(area, radius=min(small.size) // 3, fill=255)
    small.putalpha(alpha.filter(ImageFilter.BoxBlur(2)))
    return _saved(small, "PNG", compress_level=4)


def webp(image: Image.Image, rng: Rng) -> bytes:
    """Encodes as lossy WebP."""
    return _saved(image, "WEBP", quality=int(rng.integers(70, 90)), method=2)


def animated(image: Image.Image, rng: Rng, kind: str) -> bytes:
    """Encodes a short animation (GIF, WebP or PNG) that drifts away from the image, its first frame."""
    first = _at_most(image, 280)
    drift = int(rng.integers(3, 12))
    frames = [first]
    for step in range(1, 4):
        frame = first.copy()
        frame.paste(first, (drift * step, 0))
        frames.append(frame)
    return _saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=120, loop=0)


def _at_most(image: Image.Image, side: int) -> Image.Image:
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.BOX)
    return small


ENCODERS: dict[str, Encoder] = {
    "jpeg": jpeg,
    "jpeg_cmyk": jpeg_cmyk,
    "jpeg_rotated": jpeg_rotated,
    "png_alpha": png_alpha,
    "webp": webp,
    "gif_animated": lambda image, rng: animated(image, rng, "GIF"),
    "webp_animated": lambda image, rng: animated(image, rng, "WEBP"),
    "png_animated": lambda image, rng: animated(image, rng, "PNG"),
}
"""By the name in the truth table."""

EXTENSIONS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "gif": ".gif"}
"""By the first word of a format's name."""

CONTENT_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif"}


def near_copy(source: bytes, rng: Rng) -> bytes:
    """Encodes an image again at another size and quality, its edges cropped by up to 3 %."""
    with Image.open(io.BytesIO(source)) as opened:
        image = opened.convert("RGB")
    w, h = image.size
    left, top, right, bottom = (rng.uniform(0, 0.03, 4) * (w, h, w, h)).tolist()
    scale = rng.uniform(0.6, 0.95) if rng.random() < 0.8 else rng.uniform(1.05, 1.2)
    size = (round((w - left - right) * scale), round((h - top - bottom) * scale))
    resized = image.resize(size, Image.Resampling.BILINEAR, box=(left, top, w - right, h - bottom))
    return _saved(resized, "JPEG", quality=int(rng.integers(55, 91)))


def truncated(source: bytes, rng: Rng) -> bytes:
    """Truncates a file somewhere between a quarter and three quarters of its length."""
    return source[: int(len(source) * rng.uniform(0.25, 0.75))]


def apology() -> bytes:
    """Returns the page that some servers send under an image's content type."""
    return (
        b"<!DOCTYPE html>\n<html><head><title>Sign in to continue</title></head>\n"
        b"<body><h1>This picture is private</h1><p>Please sign in.</p></body></html>\n"
    )
