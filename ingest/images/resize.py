"""Which size a picture gets, by the modes that img2dataset's users know, and its pixels in that size."""

from dataclasses import dataclass

from PIL import Image

from tagmill.ingest.config.image_policy import ImagePolicy

Size = tuple[int, int]  # width, height
Box = tuple[float, float, float, float]  # left, top, right, bottom
_WHITE = 255


@dataclass(frozen=True, slots=True)
class Shape:
    """What becomes of a picture's sides: it is scaled to the first size, then cut or bordered to the second."""

    scaled: Size
    stored: Size


def shape(width: int, height: int, policy: ImagePolicy) -> Shape:
    """The sides that a picture gets, as img2dataset's resizer counts them, but for halves, which are rounded up.

    The side that is compared with `image_size` is the short one for keep_ratio and center_crop, the long one for
    keep_ratio_largest and border. Where it is not longer, `only_if_bigger` leaves the picture as it is: uncut, without border.
    """
    kept = Shape((width, height), (width, height))
    if policy.resize == "no":
        return kept
    by_short, size = policy.resize in ("keep_ratio", "center_crop"), policy.image_size
    side = min(width, height) if by_short else max(width, height)
    if policy.only_if_bigger and side <= size:
        return kept
    scaled = (_part(width, size, side), _part(height, size, side))
    square = policy.resize in ("center_crop", "border")
    return Shape(scaled, (size, size) if square else scaled)


def _part(length: int, size: int, side: int) -> int:
    """length x size / side, rounded half up; a picture keeps at least a pixel."""
    return max(1, (2 * length * size + side) // (2 * side))


def scaled(image: Image.Image, size: Size, place: Box | None = None) -> Image.Image:
    """What lies in `place` (all of it) in another size: box filter where pixels are many (img2dataset's area filter), Lanczos
    where they are too few."""
    if image.size == size:
        return image
    fewer = size[0] <= image.width and size[1] <= image.height
    return image.resize(size, Image.Resampling.BOX if fewer else Image.Resampling.LANCZOS, place)


def framed(image: Image.Image, size: Size) -> Image.Image:
    """The middle of the picture where it is larger, white around it where it is smaller.

    A pixel that cannot be halved is left at the right and below, both of a cut and of a border.
    """
    if image.size == size:
        return image
    left, top = ((mine - wanted) // 2 for mine, wanted in zip(image.size, size, strict=True))
    if image.width >= size[0] and image.height >= size[1]:
        return image.crop((left, top, left + size[0], top + size[1]))
    canvas = Image.new(image.mode, size, (_WHITE,) * len(image.getbands()))
    canvas.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return canvas
