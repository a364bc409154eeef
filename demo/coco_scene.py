"""Draws an image with several concepts on it, and says which pixels of each can be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tagmill.demo.concepts import CONCEPTS
from tagmill.demo.draw import POSES, SHAPES, SIZES, Footprint, Rng, odd_thing, photographed, place
from tagmill.demo.scenes import SCENES

OVER = 2
"""Images are drawn at this many times their size, and reduced."""

COUNTS = {0: 0.04, 1: 0.3, 2: 0.32, 3: 0.22, 4: 0.12}
"""Share of the images by number of single objects."""

CROWD = 0.1
"""Share of the images with a group that is marked as one crowd."""

LEAST_PIXELS = 16
"""Visible pixels of an object that is annotated."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object in an image, or a crowd of objects of one concept."""

    concept: str
    mask: NDArray[np.bool_]
    """The visible pixels, [height, width]."""
    crowd: bool = False


@dataclass(frozen=True, slots=True)
class CocoScene:
    """An image and what can be seen on it."""

    image: Image.Image
    things: tuple[Thing, ...]


def draw_coco_scene(rng: Rng, side: int, concepts: int = len(CONCEPTS)) -> CocoScene:
    """Draws one RGB image whose long side is `side` pixels, with objects of the first `concepts` of `CONCEPTS`. Equal
    arguments give equal images.

    A later object covers earlier ones; what is left of them is their mask. Objects with fewer than 16 visible pixels
    are not annotated.
    """
    across, down = SIZES[int(rng.integers(0, len(SIZES)))]
    w, h = (max(8, round(side * part / max(across, down))) * OVER for part in (across, down))
    image = SCENES[str(rng.choice(sorted(SCENES)))](rng, w, h)
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        place(image, rng, odd_thing, rng.uniform(0.05, 0.12) * min(w, h), rng.random(2), 180)
    owner = np.full((h, w), -1, dtype=np.int16)
    names = list[tuple[str, bool]]()
    light = rng.uniform(-1, 1)
    if rng.random() < CROWD:
        names.append((_any_concept(rng, concepts), True))
        _place_crowd(image, rng, owner, names[0][0], light)
    for centre, size in _places(rng, int(rng.choice(list(COUNTS), p=list(COUNTS.values())))):
        names.append((_any_concept(rng, concepts), False))
        shape, tilt = SHAPES[names[-1][0]], POSES[names[-1][0]].tilt
        _cover(owner, place(image, rng, shape, size * min(w, h), centre, tilt, light), len(names) - 1)
    small = photographed(image, rng).reduce(OVER)
    seen = ((name, _reduced(owner == number), crowd) for number, (name, crowd) in enumerate(names))
    return CocoScene(small, tuple(Thing(*each) for each in seen if each[1].sum() >= LEAST_PIXELS))


def _any_concept(rng: Rng, concepts: int) -> str:
    return CONCEPTS[int(rng.integers(0, concepts))].name


def _places(rng: Rng, count: int) -> list[tuple[tuple[float, float], float]]:
    """Chooses centres (shares of width and height) and half extents (shares of the shorter side), rather apart."""
    found = list[tuple[tuple[float, float], float]]()
    for _ in range(count):
        size = float(rng.uniform(0.14, 0.36 if count > 1 else 0.46))
        tries = [(float(x), float(y)) for x, y in rng.uniform(0.15, 0.85, (8, 2))]
        apart = (
            each
            for each in tries
            if all(np.hypot(each[0] - x, each[1] - y) > 0.8 * (size + other) for (x, y), other in found)
        )
        found.append((next(apart, tries[0]), size))
    return found


def _place_crowd(image: Image.Image, rng: Rng, owner: NDArray[np.int16], name: str, light: float) -> None:
    """Draws six to ten small objects beside each other; they belong to the first thing."""
    side, middle = min(image.size), rng.uniform(0.3, 0.7, 2)
    for _ in range(int(rng.integers(6, 11))):
        centre = np.clip(middle + rng.uniform(-0.22, 0.22, 2), 0.05, 0.95)
        size = rng.uniform(0.07, 0.1) * side
        _cover(owner, place(image, rng, SHAPES[name], size, centre, POSES[name].tilt, light), 0)


def _cover(owner: NDArray[np.int16], shape: Footprint, number: int) -> None:
    """Gives the pixels of a shape, as far as they are in the image, to a thing."""
    h, w = owner.shape
    solid = np.asarray(shape.mask) > 127
    left, top = max(0, shape.x), max(0, shape.y)
    right, low = min(w, shape.x + solid.shape[1]), min(h, shape.y + solid.shape[0])
    if left < right and top < low:
        owner[top:low, left:right][solid[top - shape.y : low - shape.y, left - shape.x : right - shape.x]] = number


def _reduced(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns the mask at the size of the image: pixels of which more than half belongs to it."""
    h, w = mask.shape
    found: NDArray[np.bool_] = mask.reshape(h // OVER, OVER, w // OVER, OVER).mean((1, 3)) > 0.5
    return found
