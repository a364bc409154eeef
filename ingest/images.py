"""Bytes from the web to what is stored: an upright, complete, baseline JPEG in sRGB, in the size that the policy asks for."""

import hashlib
import io
import struct
import warnings
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError, features
from PIL import __version__ as pillow_version

from tagmill.ingest import planes
from tagmill.ingest.asis import as_it_came
from tagmill.ingest.policy import ImagePolicy
from tagmill.ingest.reasons import Reason
from tagmill.ingest.resize import Box, Shape, Size, framed, scaled, shape

THUMBNAIL = planes.THUMBNAIL  # pixels a side, of the grey thumbnail that fingerprints are made from
MAX_JPEG_SIDE = 65_500  # libjpeg's limit
_FOR_THUMBNAIL = (2 * THUMBNAIL, 2 * THUMBNAIL)
# Bytes. libjpeg takes up to 8 more than the last pixel needs, and may take these for the pixels of a last few blocks.
_READ_AHEAD = 10
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF")  # MPO comes as JPEG
_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_UPRIGHT[value] for value in (5, 6, 7, 8)}
_REMEMBERED = 1 << 16  # bytes of an ICC profile that is worth remembering
# A JPEG may be decoded at 1/2, 1/4 or 1/8 as long as this many times the stored size is left for the box filter.
_DRAFT_GAP = 2
# What Pillow's parsers raise on bytes that lie; anything else is a bug and is let through.
_BROKEN = (
    *(OSError, ValueError, SyntaxError, EOFError, OverflowError, ZeroDivisionError, MemoryError, struct.error),
    *(IndexError, KeyError, TypeError, AttributeError, AssertionError, RuntimeError, NotImplementedError),
)

# Size limits are checked from the header here; Pillow's own check still guards frames that are larger than their canvas.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings(
    "ignore", category=UserWarning, module=r"PIL\..*"
)  # about broken metadata of pictures, of which the web is full


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture as it is stored; sizes in pixels, the original's after it was turned upright."""

    jpeg: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    thumbnail: npt.NDArray[np.uint8]  # luma, [THUMBNAIL, THUMBNAIL]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a body gives no picture."""

    reason: Reason
    detail: str | None = None


class _RejectError(Exception):
    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        super().__init__(reason, detail)
        self.rejected = Rejected(reason, detail)


def prepare(body: bytes, policy: ImagePolicy) -> Prepared | Rejected:
    """Checks the header, then decodes (first frame), turns upright, puts over white, converts to sRGB, scales, cuts or borders.

    A JPEG that the policy lets through as it came is decoded all the same: to see whether it is whole, and for its thumbnail.
    Raises nothing for any bytes. The result depends on the bytes, the policy and `image_stack()`.
    """
    if not body:
        return Rejected(Reason.EMPTY)
    Image.MAX_IMAGE_PIXELS = policy.max_pixels
    try:
        plain = _plain(body, policy)
        if plain is not None and (smaller := _averaged(body, *plain, policy.quality)) is not None:
            return smaller
        image = opened(body)
        with image:
            turn = _UPRIGHT.get(_orientation(image))
            wanted = checked_shape(*image.size, policy)
            width, height = image.size
            profile = image.info.get("icc_profile")
            if turn is None and wanted == Shape(image.size, image.size):
                kept = _kept(body, image, policy)
                if kept is not None:
                    return kept
            if policy.reencode == "never":
                return Rejected(Reason.NEEDS_ENCODING)
            untried = turn is None and plain is None
            if untried and (smaller := in_planes(body, image, wanted, policy.quality)) is not None:
                return smaller
            raw, place = decoded(image, wanted.scaled)
            pixels = in_srgb(scaled(raw, wanted.scaled, place), profile)
    except _RejectError as error:
        return error.rejected
    stored = wanted.stored
    if turn is not None:
        pixels = pixels.transpose(turn)
        if turn in _SIDEWAYS:
            (width, height), stored = (height, width), stored[::-1]
    jpeg = encoded(framed(pixels, stored), policy.quality)
    return Prepared(jpeg, *stored, width, height, thumbnail_of(pixels))


def _plain(body: bytes, policy: ImagePolicy) -> tuple[Size, Shape] | None:
    """The size that a plain JPEG has, and what it is made smaller to: Pillow need not look at it. Most pictures of the web
    are such; None for the others."""
    size = planes.plain_size(body)
    if size is None or not 0 < size[0] * size[1] <= policy.max_pixels:
        return None
    wanted = checked_shape(*size, policy)
    if wanted.scaled == size or policy.reencode == "never":
        return None
    return size, wanted


def opened(body: bytes) -> Image.Image:
    """The picture by its header, not decoded."""
    try:
        return Image.open(io.BytesIO(body), formats=_readable())
    except UnidentifiedImageError:
        raise _RejectError(Reason.NOT_AN_IMAGE) from None
    except Image.DecompressionBombError:
        raise _RejectError(Reason.TOO_MANY_PIXELS) from None
    except _BROKEN as error:
        raise _RejectError(Reason.NOT_AN_IMAGE, type(error).__name__) from None


@cache
def _readable() -> tuple[str, ...]:
    """The formats that this build of Pillow reads, of those that the web uses."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; broken EXIF is as good as none."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) else 1


def checked_shape(width: int, height: int, policy: ImagePolicy) -> Shape:
    """The sides that the picture gets; what it is scaled to on the way has the same limits as what it came with."""
    what = f"{width} x {height}"
    if width * height > policy.max_pixels:
        raise _RejectError(Reason.TOO_MANY_PIXELS, what)
    if min(width, height) < policy.min_side:
        raise _RejectError(Reason.TOO_SMALL, what)
    if policy.max_aspect is not None and max(width, height) > policy.max_aspect * min(width, height):
        raise _RejectError(Reason.TOO_NARROW, what)
    wanted = shape(width, height, policy)
    if max(wanted.scaled) > MAX_JPEG_SIDE:
        raise _RejectError(Reason.TOO_LONG, what)
    if wanted.scaled[0] * wanted.scaled[1] > policy.max_pixels:
        raise _RejectError(Reason.TOO_MANY_PIXELS, f"{what}, enlarged")
    return wanted


def _kept(body: bytes, image: Image.Image, policy: ImagePolicy) -> Prepared | None:
    """The picture with its JPEG as it came, if the policy wants that, it says of itself that it is sRGB, and it is whole.

    It is decoded for its thumbnail, and no further than that needs. Once libjpeg sees the end marker it makes up pixels that
    are missing, and Pillow does not tell: so it gets other bytes in place of the end, and asks for more where it needs them.
    """
    profile = image.info.get("icc_profile")
    if policy.reencode == "always" or image.format not in ("JPEG", "MPO") or (profile and not _is_srgb(profile)):
        return None
    jpeg = as_it_came(body)
    if jpeg is None:
        return None
    try:
        with opened(jpeg[:-2] + bytes(_READ_AHEAD)) as endless:
            thumbnail = thumbnail_of(decoded(endless, _FOR_THUMBNAIL)[0])
    except _RejectError:
        return None
    return Prepared(jpeg, *image.size, *image.size, thumbnail)


def in_planes(body: bytes, image: Image.Image, wanted: Shape, quality: int) -> Prepared | None:
    """The picture made smaller in its own colour planes, if it is a JPEG in sRGB that stays whole, and planes.py takes it."""
    if image.format not in ("JPEG", "MPO") or image.mode != "RGB" or not _is_in_srgb(image.info.get("icc_profile")):
        return None
    return _averaged(body, image.size, wanted, quality)


def _averaged(body: bytes, size: Size, wanted: Shape, quality: int) -> Prepared | None:
    if wanted.scaled != wanted.stored:
        return None
    made = planes.smaller(body, wanted.stored, _fraction(size, wanted.stored), quality)
    if made is None:
        return None
    thumbnail = np.frombuffer(made[1], np.uint8).reshape(THUMBNAIL, THUMBNAIL)
    return Prepared(made[0], *wanted.stored, *size, thumbnail)


def _fraction(size: Size, target: Size) -> int:
    """The smallest fraction at which a JPEG leaves enough pixels for the filter, as `Image.draft` finds it."""
    left = min(have // (need * _DRAFT_GAP) for have, need in zip(size, target, strict=True))
    return max(fraction for fraction in (1, 2, 4, 8) if fraction <= max(1, left))


def decoded(image: Image.Image, target: Size) -> tuple[Image.Image, Box | None]:
    """The first frame as L, RGB or CMYK without alpha; where it was decoded at a fraction of its size, the place in it that
    the picture takes: the last pixels of 65 / 4 are filled up."""
    try:
        drafted = None
        if image.format in ("JPEG", "MPO"):
            drafted = image.draft(None, (target[0] * _DRAFT_GAP, target[1] * _DRAFT_GAP))
        image.load()
        return _opaque(image), drafted[1] if drafted else None
    except Image.DecompressionBombError:
        raise _RejectError(Reason.TOO_MANY_PIXELS, "a frame") from None
    except _BROKEN as error:
        cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
        reason = Reason.TRUNCATED if cut else Reason.DECODER_FAILED
        raise _RejectError(reason, None if cut else type(error).__name__) from None


def _opaque(image: Image.Image) -> Image.Image:
    """Any mode to L, RGB or CMYK; transparent pixels lie on white, 16-bit ones keep their upper half."""
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64)
        return Image.fromarray(np.clip(deep >> 8, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        colour = image.convert("RGBA")
        white = Image.new("RGB", colour.size, (255, 255, 255))
        white.paste(colour, mask=colour.getchannel("A"))
        return white
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "YCbCr", "RGBX", "RGBA", "LA", "PA"):
        return image.convert("RGB")
    raise _RejectError(Reason.DECODER_FAILED, f"pixels of kind {image.mode}")


def in_srgb(image: Image.Image, profile: object) -> Image.Image:
    """RGB pixels in sRGB, by the picture's own profile where it has one that fits."""
    if isinstance(profile, bytes) and profile:
        converted = _by_profile(image, profile)
        if converted is not None:
            return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """The picture converted by its ICC profile; None where that is sRGB already, broken, or for other colours."""
    known = _to_srgb if len(profile) <= _REMEMBERED else _to_srgb.__wrapped__
    try:
        transform = known(profile, image.mode)
        return None if transform is None else transform.apply(image)
    except (ImageCms.PyCMSError, *_BROKEN):
        return None


@lru_cache(maxsize=64)
def _to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB, which takes as long to find as to go; the web's pictures share a few profiles."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return None if _names_srgb(source) else ImageCms.ImageCmsTransform(source, _srgb(), mode, "RGB")


def _is_in_srgb(profile: object) -> bool:
    """Whether RGB pixels with this profile stay as they are, as `in_srgb` leaves them."""
    if not isinstance(profile, bytes) or not profile:
        return True
    known = _to_srgb if len(profile) <= _REMEMBERED else _to_srgb.__wrapped__
    try:
        return known(profile, "RGB") is None
    except (ImageCms.PyCMSError, *_BROKEN):
        return True


def _names_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    return (profile.profile.profile_description or "").startswith("sRGB")


def _is_srgb(profile: bytes) -> bool:
    try:
        return _names_srgb(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, *_BROKEN):
        return False


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def encoded(image: Image.Image, quality: int) -> bytes:
    """The JPEG of RGB pixels."""
    image.info.clear()  # or a comment and the colour profile of the source would be written
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality, subsampling="4:2:0", progressive=False, optimize=False)
    return sink.getvalue()


def thumbnail_of(image: Image.Image) -> npt.NDArray[np.uint8]:
    """The luma that fingerprints are made from: of the whole picture, before it is cut or bordered, so that they are the same
    in every mode but for the filter's noise."""
    return np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


@cache
def image_stack() -> dict[str, str]:
    """The libraries that decide a stored picture's bytes, with their versions; 'none' for a codec that is missing.

    `probe` is a digest of pictures that they made just now: it also tells builds apart that differ in nothing but the
    instructions of their processor (SIMD), if these give other bytes.
    """
    flavour = "pillow-simd" if ".post" in pillow_version else "pillow"
    codecs = ("libjpeg_turbo", "zlib", "webp", "avif", "libtiff", "littlecms2")
    versions = {name: features.version(name) or "none" for name in codecs}
    planar = "compiled" if planes.is_compiled() else "none"
    stack = {"pillow": f"{flavour} {pillow_version}", **versions, "planes": planar, "pdqhash": version("pdqhash")}
    return {**stack, "probe": _probe()}


def _probe() -> str:
    across, down = np.arange(197), np.arange(183)[:, None]
    noise = (across * across * 7 + down * 31 + across * down * down) % 256
    colours = np.stack([noise, noise[::-1], (across + 0 * down) * 2], axis=2).astype(np.uint8)
    sink, digest = io.BytesIO(), hashlib.sha256()
    Image.fromarray(colours).save(sink, "PNG")
    body = sink.getvalue()
    # Of a PNG, of the JPEG that it gave, of that one (over RGB, being small), and enlarged.
    for size in (128, 72, 24, 40):
        made = prepare(body, ImagePolicy(size, quality=90, min_side=1, max_pixels=1 << 20, only_if_bigger=False))
        assert isinstance(made, Prepared)
        body = made.jpeg
        digest.update(body + made.thumbnail.tobytes())
    return digest.hexdigest()[:16]
