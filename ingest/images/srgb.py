"""Converts decoded pixels of any mode to 8-bit sRGB: transparency blended over white, colour profiles applied."""

import io
import struct
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageCms

from tagmill.ingest.images.rejected import RejectError
from tagmill.ingest.reasons import Reason

# What Pillow's parsers raise on invalid bytes; any other exception is a bug and propagates.
BROKEN = (
    *(OSError, ValueError, SyntaxError, EOFError, OverflowError, ZeroDivisionError, MemoryError, struct.error),
    *(IndexError, KeyError, TypeError, AttributeError, AssertionError, RuntimeError, NotImplementedError),
)
_REMEMBERED = 1 << 16  # bytes; larger ICC profiles are not cached
_BAND = 1 << 20  # 16-bit pixels that are converted at once
_WHITE = (255, 255, 255)
# Levels (of 255) by which a profile that calls itself sRGB may differ: makers round its numbers, but a gamma of 2.2 in
# place of its curve is 7 levels away.
_SAME = 2


def without_alpha(image: Image.Image) -> Image.Image:
    """Converts any mode to L, RGB or CMYK: transparency is blended over white, 16-bit pixels keep their upper byte.

    Raises RejectError for pixels that are not colours.
    """
    if image.mode.startswith("I"):
        return _to_8_bit(image)
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


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Returns the upper byte of 16-bit grey, a band of rows at a time to bound memory."""
    key = image.info.get("transparency")
    shallow = np.empty((image.height, image.width), np.uint8)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        deep = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        band = np.clip(deep >> 8, 0, 255).astype(np.uint8)
        shallow[top : top + rows] = np.where(deep == key, 255, band) if isinstance(key, int) else band
    return Image.fromarray(shallow)


def convert_to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Converts pixels to sRGB RGB, by the image's own profile where that applies."""
    if isinstance(profile, bytes) and profile:
        converted = _apply_profile(image, profile)
        if converted is not None:
            return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Converts an image by its ICC profile; None where the profile is sRGB, broken, or for another colour mode."""
    try:
        transform = _transform(profile, image.mode)
        return None if transform is None else transform.apply(image)
    except (ImageCms.PyCMSError, *BROKEN):
        return None


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    known = srgb_transform if len(profile) <= _REMEMBERED else srgb_transform.__wrapped__
    return known(profile, mode)


@lru_cache(maxsize=64)
def srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Returns the transform from a profile to sRGB, cached, as building it costs as much as applying it.

    None where the profile is sRGB by name and by its colours. Raises what ImageCms raises for a broken profile.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.ImageCmsTransform(source, _srgb(), mode, "RGB")
    named = (source.profile.profile_description or "").startswith("sRGB")
    return None if named and _is_identity(transform, mode) else transform


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    before = _samples(mode)
    after = np.asarray(transform.apply(before)).astype(np.int64)
    return bool(abs(after - np.asarray(before.convert("RGB"))).max() <= _SAME)


@cache
def _samples(mode: str) -> Image.Image:
    """Returns all grey levels, and colours of 9 levels a channel, as an image in `mode`."""
    greys = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    return Image.fromarray(np.concatenate([greys, colours])[None]).convert(mode)


def keeps_colours(profile: object) -> bool:
    """Returns whether `convert_to_srgb` leaves RGB pixels with this profile unchanged."""
    if not isinstance(profile, bytes) or not profile:
        return True
    try:
        return _transform(profile, "RGB") is None
    except (ImageCms.PyCMSError, *BROKEN):
        return True


def is_srgb(profile: bytes) -> bool:
    """Returns whether a profile is sRGB by its name and its colours; a broken one is not."""
    try:
        return _transform(profile, "RGB") is None
    except (ImageCms.PyCMSError, *BROKEN):
        return False


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
