"""Draws one image of a concept: a scene, small objects, the object itself, light and a camera's faults."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from tagmill.demo import shapes_food, shapes_made, shapes_nature, shapes_vehicles
from tagmill.demo.pen import Pen, box, darker, lighter, near, oval, smooth, turned, vivid
from tagmill.demo.scenes import SCENES, grain

Rng = np.random.Generator

SIZES = ((4, 3), (4, 3), (3, 2), (16, 9), (1, 1), (3, 4), (4, 5))
"""Aspect ratios (width, height) of the images; landscape is more frequent, as on the web."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pose:
    """The typical photograph of a concept."""

    scenes: tuple[str, ...]
    """Usual backgrounds; one image in four takes any other."""
    tilt: float = 8.0
    """Largest rotation either way, in degrees."""
    crowd: float = 0.0
    """Share of the images with two or three of them."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """The pixels that a shape covers."""

    mask: Image.Image
    """Mode L; 255 where the shape is opaque."""
    x: int
    y: int
    """The place of the mask's upper left corner in the image; it may be outside."""


_KITCHEN = ("table", "cloth", "plain", "room", "stone")
_OPEN = ("sky", "meadow", "sunset")
POSES: dict[str, Pose] = {
    "apple": Pose(scenes=(*_KITCHEN, "leaves"), tilt=35, crowd=0.3),
    "banana": Pose(scenes=_KITCHEN, tilt=180),
    "strawberry": Pose(scenes=(*_KITCHEN, "leaves"), tilt=40, crowd=0.35),
    "watermelon": Pose(scenes=(*_KITCHEN, "beach", "lawn"), tilt=20),
    "pumpkin": Pose(scenes=("room", "leaves", "lawn", "night", "table"), tilt=8, crowd=0.2),
    "pizza": Pose(scenes=("table", "cloth", "stone", "plain"), tilt=180),
    "donut": Pose(scenes=("table", "cloth", "plain", "bokeh", "stone"), tilt=12, crowd=0.25),
    "cupcake": Pose(scenes=("room", "cloth", "bokeh", "plain"), crowd=0.2),
    "icecream": Pose(scenes=("beach", "bokeh", "sky", "street", "plain"), tilt=18),
    "mushroom": Pose(scenes=("lawn", "leaves", "meadow", "bokeh"), tilt=12, crowd=0.2),
    "sunflower": Pose(scenes=("meadow", "sky", "leaves", "bokeh"), tilt=12, crowd=0.3),
    "cactus": Pose(scenes=("desert", "room", "plain"), tilt=5, crowd=0.15),
    "goldfish": Pose(scenes=("water", "water", "water", "plain"), tilt=20, crowd=0.3),
    "butterfly": Pose(scenes=("leaves", "meadow", "bokeh", "sky"), tilt=70, crowd=0.15),
    "ladybug": Pose(scenes=("leaves", "lawn", "bokeh", "stone"), tilt=180),
    "owl": Pose(scenes=("night", "leaves", "bokeh", "snow"), tilt=6),
    "penguin": Pose(scenes=("snow", "snow", "sea", "stone"), tilt=8, crowd=0.3),
    "turtle": Pose(scenes=("beach", "water", "lawn", "stone"), tilt=180),
    "crab": Pose(scenes=("beach", "beach", "water", "stone"), tilt=12),
    "teapot": Pose(scenes=_KITCHEN, tilt=5),
    "umbrella": Pose(scenes=("beach", "street", "sky", "bokeh"), tilt=25),
    "guitar": Pose(scenes=("room", "stone", "bokeh", "street"), tilt=50),
    "clock": Pose(scenes=("room", "room", "stone", "plain", "street"), tilt=5),
    "trafficlight": Pose(scenes=("street", "street", "sky", "bokeh"), tilt=4),
    "snowman": Pose(scenes=("snow", "snow", "night"), tilt=6, crowd=0.15),
    "car": Pose(scenes=("street", "street", "meadow", "desert", "beach"), tilt=5),
    "bicycle": Pose(scenes=("street", "meadow", "stone", "beach"), tilt=6),
    "sailboat": Pose(scenes=("sea", "sea", "sea", "sunset"), tilt=8, crowd=0.2),
    "rocket": Pose(scenes=("night", "night", "sky", "sunset"), tilt=45),
    "hotairballoon": Pose(scenes=(*_OPEN, "desert"), tilt=6, crowd=0.4),
    "lighthouse": Pose(scenes=("sea", "sunset", "sea", "night"), tilt=3),
    "windmill": Pose(scenes=("meadow", "meadow", "sunset", "sky"), tilt=3),
}
"""Keyed by a concept's name, as `concepts.CONCEPTS` lists them."""

SHAPES: dict[str, Callable[[Pen, Rng], None]] = {
    **shapes_food.DRAWN,
    **shapes_nature.DRAWN,
    **shapes_made.DRAWN,
    **shapes_vehicles.DRAWN,
}


def draw(rng: Rng, name: str) -> Image.Image:
    """Draws one RGB image of a concept; its long side is 280 to 640 pixels.

    Every choice comes from the generator, so equal generators give equal images.
    """
    pose = POSES[name]
    long_side = int(rng.integers(280, 641))
    across, down = SIZES[int(rng.integers(0, len(SIZES)))]
    w, h = round(long_side * across / max(across, down)), round(long_side * down / max(across, down))
    scenes = pose.scenes if rng.random() < 0.75 else tuple(SCENES)
    image = SCENES[str(rng.choice(scenes))](rng, w, h)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.BoxBlur(rng.uniform(0.5, 3)))
    for _ in range(int(rng.choice([0, 0, 0, 1, 2, 3]))):
        place(image, rng, odd_thing, rng.uniform(0.05, 0.14) * min(w, h), rng.random(2), 180)
    light = rng.uniform(-1, 1)
    for centre, size in _stand(rng, pose, min(w, h)):
        place(image, rng, SHAPES[name], size, centre, pose.tilt, light)
    return framed(photographed(image, rng), rng)


def _stand(rng: Rng, pose: Pose, side: int) -> list[tuple[tuple[float, float], float]]:
    """Chooses the positions of the objects (as shares of width and height) and their sizes (half extent, pixels)."""
    if rng.random() >= pose.crowd:
        size = rng.uniform(0.24, 0.5)
        slack = 0.5 - min(0.46, size * 0.85)
        return [((0.5 + rng.uniform(-slack, slack), 0.52 + rng.uniform(-slack, slack)), size * side)]
    count = int(rng.integers(2, 4))
    slots = (rng.permutation(count) + 0.5) / count
    return [
        ((float(x + rng.uniform(-0.06, 0.06)), float(rng.uniform(0.35, 0.68))), rng.uniform(0.18, 0.3) * side)
        for x in slots
    ]


def place(
    image: Image.Image,
    rng: Rng,
    shape: Callable[[Pen, Rng], None],
    size: float,
    centre: tuple[float, float] | np.ndarray[tuple[int], np.dtype[np.float64]],
    tilt: float,
    light: float = 0.5,
) -> Footprint:
    """Draws a shape on its own layer at two or three times the resolution and pastes it, lit and with a shadow, onto
    the image. Returns which pixels it covers."""
    over = 3 if size < 90 else 2
    half = math.ceil(size * 1.5)
    angle = math.radians(rng.uniform(-tilt, tilt))
    c, s = math.cos(angle), math.sin(angle)
    flip = 1 if rng.random() < 0.5 else -1
    squeeze = rng.uniform(0.88, 1.1)
    lean = rng.uniform(-0.06, 0.06)
    turn = np.array([[c, -s], [s, c]]) @ np.array([[squeeze * flip, lean], [0, 1]]) * (size * over)
    pen = Pen(2 * half * over, np.column_stack([turn, (half * over, half * over)]))
    shape(pen, rng)
    mask = pen.mask.reduce(over)
    left, top, right, low = box = mask.getbbox() or (0, 0, 1, 1)  # nothing is visible outside
    colour = pen.colour.reduce(over, (left * over, top * over, right * over, low * over))
    colour = _lit(colour, mask, box, size, light)
    x, y = round(float(centre[0]) * image.width) - half, round(float(centre[1]) * image.height) - half
    _shadow(image, mask, x, y, size, light)
    spot = image.crop((x + left, y + top, x + right, y + low))
    hole = ImageChops.invert(mask.crop(box))
    spot = ImageChops.add(ImageChops.multiply(spot, Image.merge("RGB", (hole, hole, hole))), colour)
    image.paste(spot, (x + left, y + top))
    return Footprint(mask, x, y)


def _lit(
    colour: Image.Image, mask: Image.Image, box: tuple[int, int, int, int], size: float, light: float
) -> Image.Image:
    """Shades an object as if it were rounded: the slope of its blurred outline approximates the surface's normal.

    The colours are those of a box of the mask.
    """
    small = mask.reduce(4) if min(mask.size) >= 16 else mask
    hill = np.asarray(small.filter(ImageFilter.GaussianBlur(max(1.0, size / 22))), dtype=np.float32) / 255
    down, across = np.gradient(hill)
    slope = (across * light + down * 0.9) * (size / 11)
    shade = np.clip(0.96 + 0.32 * slope, 0.5, 1.0)
    glow = np.clip(0.22 * slope - 0.02, 0.0, 0.25)
    dark, bright = (
        Image.fromarray((field * 255).astype(np.uint8)).resize(mask.size, Image.Resampling.BILINEAR).crop(box)
        for field in (shade, glow)
    )
    mask = mask.crop(box)
    bright = ImageChops.multiply(bright, mask)
    lit = ImageChops.multiply(colour, Image.merge("RGB", (dark, dark, dark)))
    return ImageChops.add(
        ImageChops.multiply(lit, Image.merge("RGB", (mask, mask, mask))), Image.merge("RGB", (bright, bright, bright))
    )


def _shadow(image: Image.Image, mask: Image.Image, x: int, y: int, size: float, light: float) -> None:
    small = mask.reduce(4).filter(ImageFilter.BoxBlur(max(1.0, size / 50)))
    soft = small.resize(mask.size, Image.Resampling.BILINEAR).point([i * 95 // 255 for i in range(256)])
    image.paste((12, 14, 24), (x - round(light * size * 0.09), y + round(size * 0.07)), mask=soft)


def odd_thing(pen: Pen, rng: Rng) -> None:
    """Draws a small object that is none of the concepts: a ball, box, leaf, pebble, star or ring."""
    colour = vivid(rng)
    kind = int(rng.integers(0, 6))
    if kind == 0:
        pen.dot(0, 0, 0.8, colour)
        pen.line([(-0.7, 0.2), (0.7, -0.2)], 0.2, lighter(colour, 0.5))
    elif kind == 1:
        pen.fill(box(-0.8, -0.6, 0.8, 0.6, 0.1), colour)
        pen.line([(0, -0.6), (0, 0.6)], 0.2, lighter(colour, 0.6))
    elif kind == 2:
        pen.fill(smooth([(-0.9, 0), (0, -0.4), (0.9, 0), (0, 0.4)]), near(rng, 90, 0.5, 0.5, 50))
        pen.line([(-0.9, 0), (0.7, 0)], 0.06, darker(colour))
    elif kind == 3:
        pen.fill(smooth(oval(0, 0, 0.8, 0.55, 0, 7) * rng.uniform(0.85, 1.15, (7, 1))), near(rng, 30, 0.12, 0.6, 30))
    elif kind == 4:
        star = np.concatenate([[turned([(0.9, 0)], 72 * k)[0], turned([(0.4, 0)], 72 * k + 36)[0]] for k in range(5)])
        pen.fill(star, colour)
    else:
        pen.outline(oval(0, 0, 0.65, 0.65), 0.22, colour)


def photographed(image: Image.Image, rng: Rng) -> Image.Image:
    """Applies a white balance, contrast, vignette, grain and sometimes a soft focus."""
    w, h = image.size
    if rng.random() < 0.12:
        image = image.filter(ImageFilter.BoxBlur(rng.uniform(0.4, 1.2)))
    gain = rng.uniform(0.92, 1.16) * (1 + rng.uniform(-0.07, 0.07, 3))
    lift = rng.uniform(-12, 16)
    tables = [[min(255, max(0, round(i * g + lift))) for i in range(256)] for g in gain.tolist()]
    image = image.point(tables[0] + tables[1] + tables[2])
    if rng.random() < 0.5:
        y, x = np.mgrid[-1:1:16j, -1:1:16j]
        fall = np.clip(1.08 - rng.uniform(0.1, 0.3) * (x * x + y * y), 0, 1)
        dim = Image.fromarray((fall * 255).astype(np.uint8)).resize((w, h), Image.Resampling.BILINEAR)
        image = ImageChops.multiply(image, Image.merge("RGB", (dim, dim, dim)))
    left, top = (int(v) for v in rng.integers(0, 300, 2))
    speckle = (grain()[top : top + h, left : left + w] * rng.uniform(0.1, 0.6)).astype(np.int16)
    pixels = np.asarray(image).astype(np.int16)
    pixels += speckle[:, :, None]
    return Image.fromarray(pixels.clip(0, 255, out=pixels).astype(np.uint8))


def framed(image: Image.Image, rng: Rng) -> Image.Image:
    """Draws a white frame on one image in seventeen, and returns the image."""
    w, h = image.size
    if rng.random() < 0.06:
        edge = round(min(w, h) * rng.uniform(0.02, 0.06))
        ImageDraw.Draw(image).rectangle((0, 0, w - 1, h - 1), outline=(248, 246, 240), width=edge)
    return image
