"""Computes the size of a stored image in img2dataset's resize modes, and resamples, crops or pads pixels to it."""

from dataclasses import dataclass

from PIL import Image

from tagmill.ingest.config.image_policy import ImagePolicy

Size = tuple[int, int]  # width, height
Box = tuple[float, float, float, float]  # left, top, right, bottom
_WHITE = 255


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of an image: it is scaled to the first, then cropped or padded to the second."""

    scaled: Size
    stored: Size


def target_shape(width: int, height: int, policy: ImagePolicy) -> Shape:
    """Returns the sizes that img2dataset's resizer computes, except that halves are rounded up.

    `image_size` is compared with the short side for keep_ratio and center_crop, and with the long side for
    keep_ratio_largest and border. Where that side is not longer, `only_if_bigger` leaves the image as it is: no crop,
    no border.
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
    """Returns length x size / side, rounded half up; at least 1."""
    return max(1, (2 * length * size + side) // (2 * side))


def resample(image: Image.Image, size: Size, box: Box | None = None) -> Image.Image:
    """Resizes the pixels within `box` (default: all): box filter to shrink (img2dataset's area filter), Lanczos to enlarge."""
    if image.size == size:
        return image
    fewer = size[0] <= image.width and size[1] <= image.height
    return image.resize(size, Image.Resampling.BOX if fewer else Image.Resampling.LANCZOS, box)


def crop_or_pad(image: Image.Image, size: Size) -> Image.Image:
    """Crops the image around its centre where it is larger than `size`, and pads it with white where it is smaller.

    The odd pixel of a crop or border is at the right and bottom.
    """
    if image.size == size:
        return image
    left, top = ((mine - wanted) // 2 for mine, wanted in zip(image.size, size, strict=True))
    if image.width >= size[0] and image.height >= size[1]:
        return image.crop((left, top, left + size[0], top + size[1]))
    canvas = Image.new(image.mode, size, (_WHITE,) * len(image.getbands()))
    canvas.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return canvas
