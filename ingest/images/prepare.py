"""Bytes from the web to what is stored: an upright, complete, baseline JPEG in sRGB, in the size that the policy asks for."""

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

from tagmill.ingest.config.image_policy import MAX_JPEG_SIDE, ImagePolicy
from tagmill.ingest.images import jpeg_planes, jpeg_scans, png_chunks
from tagmill.ingest.images.passthrough import as_it_came
from tagmill.ingest.images.rejected import Rejected, RejectError
from tagmill.ingest.images.resize import Box, Shape, Size, framed, scaled, shape
from tagmill.ingest.images.sniff import unread
from tagmill.ingest.images.srgb import BROKEN, in_srgb, is_srgb, keeps_colours, opaque
from tagmill.ingest.reasons import Reason

# Goes up with every change that gives a picture other pixels than before, or another fate: a part of the image stack.
RULES = 2
THUMBNAIL = jpeg_planes.PLANES_THUMBNAIL  # pixels a side, of the grey thumbnail that fingerprints are made from
_FOR_THUMBNAIL = (2 * THUMBNAIL, 2 * THUMBNAIL)
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
# A JPEG may be decoded at 1/2, 1/4 or 1/8 as long as this many times the stored size is left for the box filter.
_DRAFT_GAP = 2
_MOST_DETAIL = 100  # characters of what Pillow says of a picture
_PIXELS = re.compile(r"\d+ pixels")

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
class OpenedImage:
    """A picture by its header, not decoded: every reader of it reads these bytes."""

    body: bytes  # of a JPEG, with a header that readers agree about; of a PNG, what is needed
    image: ImageFile.ImageFile
    profile: object  # ICC, if there is one
    png: png_chunks.Png | None

    @property
    def is_jpeg(self) -> bool:
        return self.image.format in ("JPEG", "MPO")


def prepare(body: bytes, policy: ImagePolicy) -> Prepared | Rejected:
    """Checks the header, then decodes (first frame), turns upright, puts over white, converts to sRGB, scales, cuts or borders.

    What needs no pixels comes first: the shape, then whether the picture must be encoded. A JPEG that the policy lets through
    as it came is decoded all the same: to see whether it is whole, and for its thumbnail.
    Raises nothing for any bytes. The result depends on the bytes, the policy and `image_stack()`.
    """
    if not body:
        return Rejected(Reason.EMPTY)
    Image.MAX_IMAGE_PIXELS = policy.max_pixels
    try:
        plain = _plain(body, policy)
        if plain is not None and (smaller := _averaged(body, *plain, policy.quality)) is not None:
            return smaller
        source = opened_image(body)
        with source.image:
            wanted = checked_shape(*source.image.size, policy)
            turn = _turn(source.image) if source.is_jpeg else None
            made = (
                _as_jpeg(source, wanted, policy, tried=plain is not None) if source.is_jpeg and turn is None else None
            )
            if made is None and policy.reencode == "never":
                raise RejectError(Reason.NEEDS_ENCODING, _why_encode(source, turn))
            return made or _over_rgb(source, wanted, turn, policy)
    except RejectError as error:
        return error.rejected


def _as_jpeg(source: OpenedImage, wanted: Shape, policy: ImagePolicy, *, tried: bool) -> Prepared | None:
    """An upright JPEG as it came, or made smaller in its own planes unless that was tried; None where it is neither."""
    if wanted == Shape(source.image.size, source.image.size) and (kept := _kept(source, policy)) is not None:
        return kept
    return None if tried or policy.reencode == "never" else in_planes(source, wanted, policy.quality)


def _over_rgb(source: OpenedImage, wanted: Shape, turn: Image.Transpose | None, policy: ImagePolicy) -> Prepared:
    """The picture by way of its pixels, of every format."""
    width, height = source.image.size
    raw, place = decoded_image(source, wanted.scaled)
    if not source.is_jpeg:  # others may say it behind their pixels; and a TIFF was turned by Pillow just now
        turn = _turn(source.image)
        width, height = raw.size
        wanted = checked_shape(width, height, policy)
    pixels = in_srgb(scaled(raw, wanted.scaled, place), source.profile)
    stored = wanted.stored
    if turn is not None:
        pixels = pixels.transpose(turn)
        if turn in _SIDEWAYS:
            (width, height), stored = (height, width), stored[::-1]
    jpeg = encoded(framed(pixels, stored), policy.quality)
    return Prepared(jpeg, *stored, width, height, thumbnail_of(pixels))


def _why_encode(source: OpenedImage, turn: Image.Transpose | None) -> str:
    if not source.is_jpeg:
        return str(source.image.format)
    if turn is not None:
        return "JPEG: to be turned"
    coloured = isinstance(source.profile, bytes) and source.profile and not is_srgb(source.profile)
    return "JPEG: with a colour profile" if coloured else "JPEG: of a kind that not every decoder takes"


def _plain(body: bytes, policy: ImagePolicy) -> tuple[Size, Shape] | None:
    """The size that a plain JPEG has, and what it is made smaller to: Pillow need not look at it. Most pictures of the web
    are such; None for the others."""
    size = jpeg_planes.plain_size(body)
    if size is None or not 0 < size[0] * size[1] <= policy.max_pixels:
        return None
    wanted = checked_shape(*size, policy)
    if wanted.scaled == size or policy.reencode == "never":
        return None
    return size, wanted


def opened_image(body: bytes) -> OpenedImage:
    """The picture by its header, not decoded. Raises RejectError where it is none."""
    if png_chunks.is_png(body):
        png = png_chunks.read(body)
        return OpenedImage(png.body, _by_pillow(png.body), png.profile, png)
    if jpeg_scans.is_jpeg(body):
        body = jpeg_scans.regular(body)
    image = _by_pillow(body)
    return OpenedImage(body, image, image.info.get("icc_profile"), None)


def _by_pillow(body: bytes) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(body), formats=_readable())
    except Image.DecompressionBombError as error:
        found = _PIXELS.search(str(error))
        raise RejectError(Reason.TOO_MANY_PIXELS, found[0] if found else None) from None
    except BROKEN as error:
        what = unread(body, _readable())
        if what.reason == Reason.NOT_AN_IMAGE and not isinstance(error, UnidentifiedImageError):
            what = replace(what, detail=": ".join(filter(None, (what.detail, type(error).__name__))))
        raise RejectError(what.reason, what.detail) from None


@cache
def _readable() -> tuple[str, ...]:
    """The formats that this build of Pillow reads, of those that the web uses."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What makes a picture upright, by its EXIF or XMP; broken metadata is as good as none.

    Pillow decodes a PNG for that, if it is not decoded yet, so that it must be: an error would be lost here.
    """
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except BROKEN:
        return None
    return _UPRIGHT.get(value) if isinstance(value, int) else None


def checked_shape(width: int, height: int, policy: ImagePolicy) -> Shape:
    """The sides that the picture gets; what it is scaled to on the way has the same limits as what it came with."""
    what = f"{width} x {height}"
    if width * height > policy.max_pixels:
        raise RejectError(Reason.TOO_MANY_PIXELS, what)
    if min(width, height) < policy.min_side:
        raise RejectError(Reason.TOO_SMALL, what)
    if policy.max_aspect is not None and max(width, height) > policy.max_aspect * min(width, height):
        raise RejectError(Reason.TOO_NARROW, what)
    wanted = shape(width, height, policy)
    if max(wanted.scaled) > MAX_JPEG_SIDE:
        raise RejectError(Reason.TOO_LONG, what)
    if wanted.scaled[0] * wanted.scaled[1] > policy.max_pixels:
        raise RejectError(Reason.TOO_MANY_PIXELS, f"{what}, enlarged")
    return wanted


def _kept(source: OpenedImage, policy: ImagePolicy) -> Prepared | None:
    """The picture with its JPEG as it came, if the policy wants that and it can be.

    It is decoded for its thumbnail, and no further than that needs. Raises RejectError where it is not whole.
    """
    profile, size = source.profile, source.image.size
    if policy.reencode == "always" or (isinstance(profile, bytes) and profile and not is_srgb(profile)):
        return None
    jpeg = as_it_came(source.body)
    if jpeg is None:
        return None
    thumbnail = thumbnail_of(decoded_image(opened_image(jpeg), _FOR_THUMBNAIL)[0])
    return Prepared(jpeg, *size, *size, thumbnail)


def in_planes(source: OpenedImage, wanted: Shape, quality: int) -> Prepared | None:
    """The picture made smaller in its own colour planes, if it is a JPEG in sRGB that stays whole and jpeg_planes takes it."""
    if not source.is_jpeg or source.image.mode != "RGB" or not keeps_colours(source.profile):
        return None
    return _averaged(source.body, source.image.size, wanted, quality)


def _averaged(body: bytes, size: Size, wanted: Shape, quality: int) -> Prepared | None:
    if wanted.scaled != wanted.stored:
        return None
    made = jpeg_planes.smaller(body, size, wanted.stored, _fraction(size, wanted.stored), quality)
    if made is None:
        return None
    thumbnail = np.frombuffer(made[1], np.uint8).reshape(THUMBNAIL, THUMBNAIL)
    return Prepared(made[0], *wanted.stored, *size, thumbnail)


def _fraction(size: Size, target: Size) -> int:
    """The smallest fraction at which a JPEG leaves enough pixels for the filter, as `Image.draft` finds it."""
    left = min(have // (need * _DRAFT_GAP) for have, need in zip(size, target, strict=True))
    return max(fraction for fraction in (1, 2, 4, 8) if fraction <= max(1, left))


def decoded_image(source: OpenedImage, target: Size) -> tuple[Image.Image, Box | None]:
    """The first frame as L, RGB or CMYK without alpha; where it was decoded at a fraction of its size, the place in it that
    the picture takes: the last pixels of 65 / 4 are filled up. Raises RejectError where it cannot be decoded, or not whole."""
    image, drafted = source.image, None
    try:
        if source.is_jpeg:
            *others, body = jpeg_scans.decodable(source.body)
            for other in others:
                _by_pillow(other).load()
            image.fp = io.BytesIO(body)  # its header is the same, and need not be read again
            drafted = image.draft(None, (target[0] * _DRAFT_GAP, target[1] * _DRAFT_GAP))
        if source.png is not None:
            source.png.check_size()
        _require_all_tiles(image)
        image.load()
        if source.png is not None:
            source.png.check_rows(image)
        return opaque(image), drafted[1] if drafted else None
    except Image.DecompressionBombError:
        raise RejectError(Reason.TOO_MANY_PIXELS, "a frame") from None
    except BROKEN as error:
        if isinstance(error, EOFError) or "truncated" in str(error).lower():
            raise RejectError(Reason.TRUNCATED, image.format) from None
        told = f"{image.format}: {str(error) or type(error).__name__}"[:_MOST_DETAIL]
        raise RejectError(Reason.DECODER_FAILED, told) from None


def _require_all_tiles(image: Image.Image) -> None:
    """Pillow leaves black what no strip of a file brings."""
    tiles = {tile[1] for tile in getattr(image, "tile", ())}
    area = sum((right - left) * (lower - upper) for left, upper, right, lower in tiles)
    if tiles and area < image.width * image.height:
        raise RejectError(Reason.TRUNCATED, f"{image.format}: strips for {area} pixels only")


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
    """What decides a stored picture's bytes: our own rules by their number, and the libraries with their versions; 'none' for a
    codec that is missing.

    `probe` is a digest of pictures that they made just now: it also tells builds apart that differ in nothing but the
    instructions of their processor (SIMD), if these give other bytes.
    """
    flavour = "pillow-simd" if ".post" in pillow_version else "pillow"
    codecs = ("libjpeg_turbo", "zlib", "webp", "avif", "libtiff", "littlecms2")
    versions = {name: features.version(name) or "none" for name in codecs}
    planar = "compiled" if jpeg_planes.is_compiled() else "none"
    stack = {"rules": str(RULES), "pillow": f"{flavour} {pillow_version}", **versions}
    stack |= {"planes": planar, "pdqhash": version("pdqhash")}
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
