"""A small labelled set of drawn images, for tests: each class has its shape and its colour, on a background of noise."""

import colorsys
import hashlib
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tagmill.transfer.sets.labelled_set import Example, LabelledSet, SetClass

BROKEN = b"not an image"


@dataclass(frozen=True)
class DrawnSet(LabelledSet):
    """Images in memory."""

    images: tuple[bytes | None, ...]  # encoded; None: missing

    def read(self, places: Sequence[int]) -> list[bytes | None]:
        return [self.images[place] for place in places]


def drawn_set(
    classes: int = 3,
    each: int = 8,
    *,
    side: int = 48,
    seed: int = 0,
    undecodable: Collection[int] = (),
    missing: Collection[int] = (),
    group: int = 1,
    name: str = "drawn",
) -> DrawnSet:
    """Returns `classes` x `each` images of `side` pixels. Example i has the label i % classes. `undecodable`, `missing`:
    places whose bytes are no image, or are not there. `group`: examples of one class that share a group; 1: none do. Sets
    of different `seed` have the same classes and other images."""
    rng = np.random.default_rng(seed)
    images = list[bytes | None]()
    for place in range(classes * each):
        drawn = drawn_jpeg(place % classes, classes, rng, side)
        images.append(None if place in missing else BROKEN if place in undecodable else drawn)
    examples = tuple(
        Example(
            f"{seed}-{place:06d}",
            (place % classes,),
            "" if group == 1 else f"{seed}-{place % classes}-{place // classes // group}",
        )
        for place in range(classes * each)
    )
    names = tuple(SetClass(f"class-{number}") for number in range(classes))
    return drawn_from(images, examples, names, name)


def drawn_from(
    images: Sequence[bytes | None], examples: Sequence[Example], classes: Sequence[SetClass], name: str = "drawn"
) -> DrawnSet:
    """Returns a set of these images, with the digest that belongs to it."""
    digest = hashlib.sha256(repr((tuple(examples), tuple(classes))).encode())
    for image in images:
        digest.update(hashlib.sha256(image or b"").digest())
    return DrawnSet(name, "memory", tuple(classes), tuple(examples), digest.hexdigest(), tuple(images))


def drawn_jpeg(label: int, classes: int, rng: np.random.Generator, side: int = 48) -> bytes:
    """Returns a JPEG with the shape and the colour of a class, at a random place and of a random size."""
    noise = rng.normal(110, 35, (side, side, 3)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(noise)
    draw = ImageDraw.Draw(image)
    red, green, blue = (int(255 * part) for part in colorsys.hsv_to_rgb(label / max(classes, 1), 0.85, 0.95))
    half = int(rng.integers(side // 6, side // 3 + 1))
    x, y = (int(value) for value in rng.integers(half, side - half, 2))
    sides = label % 4 + 2
    if sides == 2:
        draw.ellipse((x - half, y - half, x + half, y + half), (red, green, blue))
    else:
        draw.regular_polygon((x, y, half), sides, fill=(red, green, blue))
    body = io.BytesIO()
    image.save(body, "JPEG", quality=90)
    return body.getvalue()
