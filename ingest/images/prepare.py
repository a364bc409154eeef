"""Prepares images for storage: an upright, complete, baseline sRGB JPEG of the size that the policy asks for."""

import hashlib
import io
import re
import warnings
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError, features
from PIL import __version__ as pillow_version

from tagmill.ingest.config.image_policy import MAX_JPEG_SIDE, ImagePolicy, RestartInterval
from tagmill.ingest.images import jpeg_planes, jpeg_scans, png_chunks
from tagmill.ingest.images.passthrough import without_metadata
from tagmill.ingest.images.rejected import Rejected, RejectError
from tagmill.ingest.images.resize import Box, Shape, Size, crop_or_pad, resample, target_shape
from tagmill.ingest.images.restart_markers import interval_of, with_restart_markers
from tagmill.ingest.images.sniff import explain_unreadable
from tagmill.ingest.images.srgb import BROKEN, convert_to_srgb, is_srgb, keeps_colours, without_alpha
from tagmill.ingest.reasons import Reason

# Part of the image stack. Increase it with every change that alters pixels, restart intervals or reasons of rejection.
RULES = 2
THUMBNAIL = jpeg_planes.PLANES_THUMBNAIL  # pixels a side of the luma thumbnail that fingerprints are made from
_FOR_THUMBNAIL = (2 * THUMBNAIL, 2 * THUMBNAIL)
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF")  # MPO is opened as JPEG
_ORIENTATION = 0x0112  # EXIF tag
_TRANSPOSE_BY_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_TRANSPOSE_BY_ORIENTATION[value] for value in (5, 6, 7, 8)}
# Scaled JPEG decoding (1/2, 1/4, 1/8) must leave at least this many times the stored size for the box filter.
_DRAFT_FACTOR = 2
_DRI = b"\xff\xdd\0\4"  # how the segment of the restart interval begins
_MAX_DETAIL = 100  # characters of Pillow's message
_PIXELS = re.compile(r"\d+ pixels")

# Size limits are checked from the header here; Pillow's own check still guards frames larger than their canvas.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings(
    "ignore", category=UserWarning, module=r"PIL\..*"
)  # about broken metadata of pictures, of which the web is full


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image as it is stored; sizes in pixels, the original's after rotation to upright."""

    jpeg: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    thumbnail: npt.NDArray[np.uint8]  # luma, [THUMBNAIL, THUMBNAIL]


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """An image whose header is read and whose pixels are not decoded. Every reader uses these bytes."""

    body: bytes  # a JPEG with a normalised header; a PNG with only the needed chunks
    image: ImageFile.ImageFile
    profile: object  # ICC profile, if there is one
    png: png_chunks.Png | None

    @property
    def is_jpeg(self) -> bool:
        return self.image.format in ("JPEG", "MPO")


def prepare(body: bytes, policy: ImagePolicy) -> Prepared | Rejected:
    """Checks the header, decodes the first frame, rotates, blends over white, converts to sRGB, scales, and crops or pads.

    Checks that need no pixels come first: the shape, then whether the image must be encoded. A JPEG that the policy
    passes through is decoded all the same, to check that it is complete and to make its thumbnail. Raises nothing for
    any bytes. The result depends on the bytes, the policy and `image_stack()`.
    """
    if not body:
        return Rejected(Reason.EMPTY)
    Image.MAX_IMAGE_PIXELS = policy.max_pixels
    try:
        plain = _plain(body, policy)
        if plain is not None and (smaller := _downscale_in_planes(body, *plain, policy)) is not None:
            return smaller
        source = opened_image(body)
        with source.image:
            wanted = checked_shape(*source.image.size, policy)
            turn = _upright_transpose(source.image) if source.is_jpeg else None
            made = (
                _without_encoding(source, wanted, policy, tried=plain is not None)
                if source.is_jpeg and turn is None
                else None
            )
            if made is None and policy.reencode == "never":
                raise RejectError(Reason.NEEDS_ENCODING, _why_encode(source, turn))
            return made or _encode_from_rgb(source, wanted, turn, policy)
    except RejectError as error:
        return error.rejected


def _without_encoding(source: OpenedImage, wanted: Shape, policy: ImagePolicy, *, tried: bool) -> Prepared | None:
    """Returns an upright JPEG passed through, or downscaled in its planes unless `tried`; None where neither applies."""
    if wanted == Shape(source.image.size, source.image.size) and (kept := _passthrough(source, policy)) is not None:
        return kept
    return None if tried or policy.reencode == "never" else in_planes(source, wanted, policy)


def _encode_from_rgb(source: OpenedImage, wanted: Shape, turn: Image.Transpose | None, policy: ImagePolicy) -> Prepared:
    """Decodes an image of any format to pixels, and encodes them."""
    width, height = source.image.size
    raw, box = decoded_image(source, wanted.scaled)
    if not source.is_jpeg:  # other formats may store it after the pixels, and Pillow has already rotated a TIFF
        turn = _upright_transpose(source.image)
        width, height = raw.size
        wanted = checked_shape(width, height, policy)
    pixels = convert_to_srgb(resample(raw, wanted.scaled, box), source.profile)
    stored = wanted.stored
    if turn is not None:
        pixels = pixels.transpose(turn)
        if turn in _SIDEWAYS:
            (width, height), stored = (height, width), stored[::-1]
    interval = interval_of(policy.restart_interval, stored)
    jpeg = encoded(crop_or_pad(pixels, stored), policy.quality, interval)
    return Prepared(jpeg, *stored, width, height, thumbnail_of(pixels))


def _why_encode(source: OpenedImage, turn: Image.Transpose | None) -> str:
    if not source.is_jpeg:
        return str(source.image.format)
    if turn is not None:
        return "JPEG: to be turned"
    coloured = isinstance(source.profile, bytes) and source.profile and not is_srgb(source.profile)
    return "JPEG: with a colour profile" if coloured else "JPEG: of a kind that not every decoder takes"


def _plain(body: bytes, policy: ImagePolicy) -> tuple[Size, Shape] | None:
    """Returns (size, target shape) of a plain JPEG that is to be downscaled, as most web images are; else None.

    Pillow need not read the header of these.
    """
    size = jpeg_planes.plain_size(body)
    if size is None or not 0 < size[0] * size[1] <= policy.max_pixels:
        return None
    wanted = checked_shape(*size, policy)
    if wanted.scaled == size or policy.reencode == "never":
        return None
    return size, wanted


def opened_image(body: bytes) -> OpenedImage:
    """Reads the header of an image and decodes nothing. Raises RejectError where the bytes are no image."""
    if png_chunks.is_png(body):
        png = png_chunks.read_png(body)
        return OpenedImage(png.body, _open_with_pillow(png.body), png.profile, png)
    if jpeg_scans.is_jpeg(body):
        body = jpeg_scans.normalise_header(body)
    image = _open_with_pillow(body)
    return OpenedImage(body, image, image.info.get("icc_profile"), None)


def _open_with_pillow(body: bytes) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(body), formats=_readable())
    except Image.DecompressionBombError as error:
        found = _PIXELS.search(str(error))
        raise RejectError(Reason.TOO_MANY_PIXELS, found[0] if found else None) from None
    except BROKEN as error:
        what = explain_unreadable(body, _readable())
        if what.reason == Reason.NOT_AN_IMAGE and not isinstance(error, UnidentifiedImageError):
            what = replace(what, detail=": ".join(filter(None, (what.detail, type(error).__name__))))
        raise RejectError(what.reason, what.detail) from None


@cache
def _readable() -> tuple[str, ...]:
    """Returns the image formats of the web that this build of Pillow reads."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _upright_transpose(image: Image.Image) -> Image.Transpose | None:
    """Returns the transposition that makes an image upright, from its EXIF or XMP; None without valid metadata.

    Pillow decodes a PNG for this, so it must be decoded before: an error would be lost here.
    """
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except BROKEN:
        return None
    return _TRANSPOSE_BY_ORIENTATION.get(value) if isinstance(value, int) else None


def checked_shape(width: int, height: int, policy: ImagePolicy) -> Shape:
    """Returns the sizes that an image gets. Raises RejectError where source, scaled or stored size is outside the limits."""
    what = f"{width} x {height}"
    if width * height > policy.max_pixels:
        raise RejectError(Reason.TOO_MANY_PIXELS, what)
    if min(width, height) < policy.min_side:
        raise RejectError(Reason.TOO_SMALL, what)
    if policy.max_aspect is not None and max(width, height) > policy.max_aspect * min(width, height):
        raise RejectError(Reason.TOO_NARROW, what)
    wanted = target_shape(width, height, policy)
    if max(wanted.scaled) > MAX_JPEG_SIDE:
        raise RejectError(Reason.TOO_LONG, what)
    if wanted.scaled[0] * wanted.scaled[1] > policy.max_pixels:
        raise RejectError(Reason.TOO_MANY_PIXELS, f"{what}, enlarged")
    return wanted


def _passthrough(source: OpenedImage, policy: ImagePolicy) -> Prepared | None:
    """Returns the image with its own coded pixels, where policy and file allow that; else None.

    Decodes it for its thumbnail, at the smallest scale that this needs. Raises RejectError where it is incomplete.
    """
    profile, size = source.profile, source.image.size
    if policy.reencode == "always" or (isinstance(profile, bytes) and profile and not is_srgb(profile)):
        return None
    jpeg = without_metadata(source.body)
    if jpeg is None:
        return None
    thumbnail = thumbnail_of(decoded_image(opened_image(jpeg), _FOR_THUMBNAIL)[0])
    return Prepared(with_restart_markers(jpeg, size, policy.restart_interval), *size, *size, thumbnail)


def in_planes(source: OpenedImage, wanted: Shape, policy: ImagePolicy) -> Prepared | None:
    """Returns the image downscaled in its planes if it is an sRGB JPEG that is not cropped and `jpeg_planes` takes it."""
    if not source.is_jpeg or source.image.mode != "RGB" or not keeps_colours(source.profile):
        return None
    return _downscale_in_planes(source.body, source.image.size, wanted, policy)


def _downscale_in_planes(body: bytes, size: Size, wanted: Shape, policy: ImagePolicy) -> Prepared | None:
    if wanted.scaled != wanted.stored:
        return None
    interval, fraction = interval_of(policy.restart_interval, wanted.stored), _fraction(size, wanted.stored)
    made = jpeg_planes.downscale(body, size, wanted.stored, fraction, policy.quality, interval)
    if made is None:
        return None
    thumbnail = np.frombuffer(made[1], np.uint8).reshape(THUMBNAIL, THUMBNAIL)
    return Prepared(made[0], *wanted.stored, *size, thumbnail)


def _fraction(size: Size, target: Size) -> int:
    """Returns the largest denominator at which a scaled decode leaves enough pixels for the filter, as `Image.draft` does."""
    left = min(have // (need * _DRAFT_FACTOR) for have, need in zip(size, target, strict=True))
    return max(fraction for fraction in (1, 2, 4, 8) if fraction <= max(1, left))


def decoded_image(source: OpenedImage, target: Size) -> tuple[Image.Image, Box | None]:
    """Decodes the first frame to L, RGB or CMYK without alpha, and returns the box of it that the image covers.

    The box is None at full size; a scaled decode fills up the last pixels (65 / 4). Raises RejectError where the image
    cannot be decoded, or is incomplete.
    """
    image, drafted = source.image, None
    try:
        if source.is_jpeg:
            *others, body = jpeg_scans.bytes_to_decode(source.body)
            for other in others:
                _open_with_pillow(other).load()
            image.fp = io.BytesIO(body)  # the header is the same, and need not be read again
            drafted = image.draft(None, (target[0] * _DRAFT_FACTOR, target[1] * _DRAFT_FACTOR))
        if source.png is not None:
            source.png.check_size()
        _require_all_tiles(image)
        image.load()
        if source.png is not None:
            source.png.check_rows(image)
        return without_alpha(image), drafted[1] if drafted else None
    except Image.DecompressionBombError:
        raise RejectError(Reason.TOO_MANY_PIXELS, "a frame") from None
    except BROKEN as error:
        if isinstance(error, EOFError) or "truncated" in str(error).lower():
            raise RejectError(Reason.TRUNCATED, image.format) from None
        detail = f"{image.format}: {str(error) or type(error).__name__}"[:_MAX_DETAIL]
        raise RejectError(Reason.DECODER_FAILED, detail) from None


def _require_all_tiles(image: Image.Image) -> None:
    """Raises RejectError where tiles or strips are missing: Pillow leaves their area black."""
    tiles = {tile[1] for tile in getattr(image, "tile", ())}
    area = sum((right - left) * (lower - upper) for left, upper, right, lower in tiles)
    if tiles and area < image.width * image.height:
        raise RejectError(Reason.TRUNCATED, f"{image.format}: strips for {area} pixels only")


def encoded(image: Image.Image, quality: int, interval: int = 0) -> bytes:
    """Encodes RGB pixels as a baseline 4:2:0 JPEG with a restart marker every `interval` MCUs (0: none)."""
    image.info.clear()  # else the source's comment and colour profile would be written
    sink, baseline = io.BytesIO(), {"subsampling": "4:2:0", "progressive": False, "optimize": False}
    image.save(sink, "JPEG", quality=quality, restart_marker_blocks=interval, **baseline)
    return sink.getvalue()


def thumbnail_of(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Returns the luma thumbnail, uint8 [THUMBNAIL, THUMBNAIL], that fingerprints are made from.

    It shows the whole image, before cropping or padding, so that it is equal in every mode except for filter noise.
    """
    return np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


@cache
def image_stack(markers: bool = False) -> dict[str, str]:
    """Returns what determines a stored image's bytes: our rules and the versions of the libraries ('none': codec missing).

    `probe` is a digest of images made in this process: it also tells apart builds that differ only in the CPU
    instructions (SIMD) that they use, if these produce other bytes. With `markers` there is also `restart_markers`, the
    same of images with restart markers. Raises TagmillError where Pillow is too old to write these.
    """
    if markers and _DRI not in encoded(Image.new("RGB", (32, 32)), 90, 1):
        from tagmill.shards.errors import TagmillError  # not above: a decode worker starts without Arrow

        remedy = "install a later version, or give --restart-interval 0"
        raise TagmillError("this Pillow writes no restart markers", f"Pillow {pillow_version}", remedy)
    flavour = "pillow-simd" if ".post" in pillow_version else "pillow"
    codecs = ("libjpeg_turbo", "zlib", "webp", "avif", "libtiff", "littlecms2")
    versions = {name: features.version(name) or "none" for name in codecs}
    planar = "compiled" if jpeg_planes.is_compiled() else "none"
    stack = {"rules": str(RULES), "pillow": f"{flavour} {pillow_version}", **versions}
    stack |= {"planes": planar, "pdqhash": version("pdqhash"), "probe": _probe(0)}
    return {**stack, "restart_markers": _probe("auto")} if markers else stack


def _probe(interval: RestartInterval) -> str:
    across, down = np.arange(197), np.arange(183)[:, None]
    noise = (across * across * 7 + down * 31 + across * down * down) % 256
    colours = np.stack([noise, noise[::-1], (across + 0 * down) * 2], axis=2).astype(np.uint8)
    sink, digest = io.BytesIO(), hashlib.sha256()
    Image.fromarray(colours).save(sink, "PNG")
    body = sink.getvalue()
    every = ImagePolicy(0, quality=90, min_side=1, max_pixels=1 << 20, only_if_bigger=False, restart_interval=interval)
    # From a PNG, from the JPEG that it gave, from that one (small, so over RGB), and enlarged.
    policies = [replace(every, image_size=size) for size in (128, 72, 24, 40)]
    if interval:  # and as it came, with markers that the encoder did not write
        policies[:1] = replace(policies[0], restart_interval=0), replace(every, resize="no", reencode="auto")
    for policy in policies:
        made = prepare(body, policy)
        assert isinstance(made, Prepared)
        body = made.jpeg
        digest.update(body + made.thumbnail.tobytes())
    return digest.hexdigest()[:16]
