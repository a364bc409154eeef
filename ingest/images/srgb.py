"""Pixels of every kind as 8-bit sRGB: what is transparent over white, colour profiles applied."""

import io
import struct
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageCms

from tagmill.ingest.images.rejected import RejectError
from tagmill.ingest.reasons import Reason

# What Pillow's parsers raise on bytes that lie; anything else is a bug and is let through.
BROKEN = (
    *(OSError, ValueError, SyntaxError, EOFError, OverflowError, ZeroDivisionError, MemoryError, struct.error),
    *(IndexError, KeyError, TypeError, AttributeError, AssertionError, RuntimeError, NotImplementedError),
)
_REMEMBERED = 1 << 16  # bytes of an ICC profile that is worth remembering
_BAND = 1 << 20  # pixels of 16 bits that are made 8 bits wide at once
_WHITE = (255, 255, 255)
# Levels of 255 by which colours may differ from sRGB's under a profile that calls itself sRGB: makers round its numbers, but a
# gamma of 2.2 in place of its curve is 7 levels away.
_SAME = 2


def opaque(image: Image.Image) -> Image.Image:
    """Any mode to L, RGB or CMYK; transparent pixels lie on white, 16-bit ones keep their upper half.

    Raises RejectError for pixels that are no colours.
    """
    if image.mode.startswith("I"):
        return _shallow(image)
    if image.has_transparency_data:
        colour = image.convert("RGBA")
        white = Image.new("RGB", colour.size, _WHITE)
        white.paste(colour, mask=colour.getchannel("A"))
        return white
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "YCbCr", "RGBX", "RGBA", "LA", "PA"):
        return image.convert("RGB")
    raise RejectError(Reason.DECODER_FAILED, f"pixels of kind {image.mode}")


def _shallow(image: Image.Image) -> Image.Image:
    """The upper half of 16-bit grey, a band of rows at a time: of a whole picture each step would be a copy of it."""
    key = image.info.get("transparency")
    shallow = np.empty((image.height, image.width), np.uint8)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        deep = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        band = np.clip(deep >> 8, 0, 255).astype(np.uint8)
        shallow[top : top + rows] = np.where(deep == key, 255, band) if isinstance(key, int) else band
    return Image.fromarray(shallow)


def in_srgb(image: Image.Image, profile: object) -> Image.Image:
    """RGB pixels in sRGB, by the picture's own profile where it has one that fits."""
    if isinstance(profile, bytes) and profile:
        converted = _by_profile(image, profile)
        if converted is not None:
            return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture converted by its ICC profile; None where that is sRGB already, broken, or for other colours."""
    try:
        transform = _transform(profile, image.mode)
        return None if transform is None else transform.apply(image)
    except (ImageCms.PyCMSError, *BROKEN):
        return None


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    known = to_srgb if len(profile) <= _REMEMBERED else to_srgb.__wrapped__
    return known(profile, mode)


@lru_cache(maxsize=64)
def to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB, which takes as long to find as to go; the web's pictures share a few profiles.

    None where the profile is sRGB: it says so, and its colours are those. Raises what ImageCms raises for one that is broken.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.ImageCmsTransform(source, _srgb(), mode, "RGB")
    named = (source.profile.profile_description or "").startswith("sRGB")
    return None if named and _changes_nothing(transform, mode) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    before = _samples(mode)
    after = np.asarray(transform.apply(before)).astype(np.int64)
    return bool(abs(after - np.asarray(before.convert("RGB"))).max() <= _SAME)


@cache
def _samples(mode: str) -> Image.Image:
    """Greys of all levels, and colours of 9 levels a channel, as pixels of a mode."""
    greys = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    return Image.fromarray(np.concatenate([greys, colours])[None]).convert(mode)


def keeps_colours(profile: object) -> bool:
    """Whether RGB pixels with this profile stay as they are, as `in_srgb` leaves them."""
    if not isinstance(profile, bytes) or not profile:
        return True
    try:
        return _transform(profile, "RGB") is None
    except (ImageCms.PyCMSError, *BROKEN):
        return True


def is_srgb(profile: bytes) -> bool:
    """Whether a profile is sRGB's, by its name and its colours; a broken one is not."""
    try:
        return _transform(profile, "RGB") is None
    except (ImageCms.PyCMSError, *BROKEN):
        return False


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
