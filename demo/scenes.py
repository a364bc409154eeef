"""The backgrounds: sky, sea, meadow, rooms, cloth and light, painted at full size from a generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from tagmill.demo.pen import Colour, darker, hsv, lighter, mix, near, vivid

Rng = np.random.Generator
Field = NDArray[np.float32]
Scene = Callable[[Rng, int, int], Image.Image]


def noise(rng: Rng, width: int, height: int, cells: float, octaves: int = 3, stretch: float = 1.0) -> Field:
    """Returns smooth noise in 0..1 of shape (height, width); `cells` blobs span the longer side in the first octave."""
    total: Field = np.zeros((height, width), dtype=np.float32)
    longer, weight = max(width, height), 0.0
    for octave in range(octaves):
        n = cells * 2**octave
        rows = max(2, round(n * height / longer * stretch) + 1)
        columns = max(2, round(n * width / longer) + 1)
        grid = Image.fromarray(rng.random((rows, columns), dtype=np.float32))
        share = 0.5**octave
        total += share * np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
        weight += share
    field: Field = np.clip(total / weight, 0, 1)
    return field


@cache
def grain() -> NDArray[np.int16]:
    """Returns one fixed tile of film grain, shape (960, 960), standard deviation 16: cropped, never drawn again."""
    return (np.random.default_rng(20180802).standard_normal((960, 960)) * 16).astype(np.int16)


def ramp(width: int, height: int, stops: list[Colour]) -> Image.Image:
    """Returns a smooth vertical gradient through the colours."""
    rows = np.linspace(0, len(stops) - 1, height)
    table = np.array(stops, dtype=np.float32)
    column = np.stack([np.interp(rows, np.arange(len(stops)), table[:, c]) for c in range(3)], axis=1)
    return Image.fromarray(column[:, None, :].astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)


def between(field: Field, low: Colour, high: Colour, size: tuple[int, int] | None = None) -> Image.Image:
    """Colours a field: 0 gives the first colour, 1 the second; resized if a size is given."""
    grey = Image.fromarray((np.clip(field, 0, 1) * 255).astype(np.uint8))
    if size is not None:
        grey = grey.resize(size, Image.Resampling.BICUBIC)
    return Image.merge(
        "RGB", [grey.point([round(a + (b - a) * i / 255) for i in range(256)]) for a, b in zip(low, high, strict=True)]
    )


def sky(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints a blue sky with clouds."""
    hue = rng.uniform(196, 222)
    image = ramp(w, h, [hsv(hue, rng.uniform(0.45, 0.8), rng.uniform(0.65, 0.95)), hsv(hue - 6, 0.22, 0.97)])
    if rng.random() < 0.8:
        clouds = noise(rng, w // 4, h // 4, rng.uniform(2, 5), 4, 1.7)
        cover = np.clip((clouds - rng.uniform(0.45, 0.6)) * 5, 0, 1)
        mask = Image.fromarray((cover * 235).astype(np.uint8)).resize((w, h), Image.Resampling.BICUBIC)
        image.paste(lighter(hsv(hue, 0.1, 1.0), 0.6), mask=mask)
    return image


def sunset(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints an evening sky."""
    low = near(rng, 32, 0.75, 0.98, 12)
    image = ramp(w, h, [near(rng, 255, 0.5, 0.5, 30), near(rng, 340, 0.5, 0.8, 20), low, lighter(low, 0.3)])
    bands = noise(rng, w // 6, h // 6, 2, 3, 4)
    mask = Image.fromarray((np.clip((bands - 0.52) * 4, 0, 1) * 150).astype(np.uint8)).resize((w, h))
    image.paste(near(rng, 330, 0.45, 0.6, 20), mask=mask)
    return image


def night(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints a night sky with stars."""
    hue = rng.uniform(215, 265)
    image = ramp(w, h, [hsv(hue, 0.75, 0.14), hsv(hue + 15, 0.6, rng.uniform(0.25, 0.45))])
    brush = ImageDraw.Draw(image)
    for x, y, size in zip(rng.uniform(0, w, 110), rng.uniform(0, h, 110), rng.exponential(0.7, 110), strict=True):
        brush.ellipse((x - size, y - size, x + size, y + size), fill=(255, 250, 230))
    return image


def _ground(image: Image.Image, rng: Rng, horizon: float, cover: Image.Image, hills: float = 0.0) -> Image.Image:
    """Paints ground over the lower part of an image, below a straight or a hilly horizon."""
    w, h = image.size
    xs = np.linspace(0, 1, 24)
    line = horizon + hills * np.sin(xs * rng.uniform(3, 8) + rng.uniform(0, 6)) + hills * rng.uniform(-0.3, 0.3, 24)
    mask = Image.new("L", (w, h))
    ImageDraw.Draw(mask).polygon([(0, h), *((x * w, y * h) for x, y in zip(xs, line, strict=True)), (w, h)], fill=255)
    image.paste(cover, mask=mask)
    return image


def sea(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints open water under some sky."""
    image = sunset(rng, w, h) if rng.random() < 0.25 else sky(rng, w, h)
    waves = noise(rng, w // 2, h // 2, 5, 3, 7)
    deep = near(rng, 205, 0.65, 0.5, 18)
    return _ground(image, rng, rng.uniform(0.45, 0.72), between(waves, darker(deep, 0.2), lighter(deep, 0.4), (w, h)))


def _grass(rng: Rng, w: int, h: int, hue: float) -> Image.Image:
    green = near(rng, hue, 0.6, 0.55, 6)
    image = between(noise(rng, w // 3, h // 3, 8, 3), darker(green, 0.35), lighter(green, 0.15), (w, h))
    brush = ImageDraw.Draw(image)
    shades = [darker(green, 0.45), green, lighter(green, 0.25)]
    count = 260
    xs, ys, lean = rng.uniform(0, w, count), rng.uniform(0, h, count), rng.uniform(-4, 4, count)
    for k in range(count):
        tall = 5 + 0.03 * ys[k]
        brush.line((xs[k], ys[k], xs[k] + lean[k], ys[k] - tall), fill=shades[k % 3], width=1 + k % 2)
    return image


def meadow(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints grass, often with flowers, under a sky."""
    image = sky(rng, w, h)
    if rng.random() < 0.5:
        far = near(rng, 130, 0.35, 0.55, 25)
        image = _ground(image, rng, rng.uniform(0.4, 0.5), Image.new("RGB", (w, h), far), 0.04)
    grass = _grass(rng, w, h, rng.uniform(85, 125))
    if rng.random() < 0.5:
        brush, bloom = ImageDraw.Draw(grass), lighter(vivid(rng), 0.3)
        for x, y in zip(rng.uniform(0, w, 45), rng.uniform(0, h, 45), strict=True):
            brush.ellipse((x - 2.5, y - 2.5, x + 2.5, y + 2.5), fill=bloom)
    return _ground(image, rng, rng.uniform(0.5, 0.75), grass, 0.015)


def lawn(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints grass seen from above."""
    return _grass(rng, w, h, rng.uniform(80, 130))


def leaves(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints foliage out of focus."""
    green = near(rng, rng.choice([110, 110, 35]), 0.55, 0.45, 18)
    image = between(noise(rng, w // 8, h // 8, 4, 2), darker(green, 0.6), green, (w // 2, h // 2))
    brush = ImageDraw.Draw(image, "RGBA")
    for _ in range(26):
        x, y, r = rng.uniform(0, w / 2), rng.uniform(0, h / 2), rng.uniform(8, 34)
        shade = mix(darker(green, 0.4), lighter(green, 0.35), rng.random())
        angle, slim = rng.uniform(0, math.pi), rng.uniform(0.25, 0.5)
        c, s = math.cos(angle), math.sin(angle)
        tips = [(1, 0), (0.4, slim), (-0.4, slim), (-1, 0), (-0.4, -slim), (0.4, -slim)]
        brush.polygon([(x + r * (a * c - b * s), y + r * (a * s + b * c)) for a, b in tips], fill=(*shade, 215))
    return image.filter(ImageFilter.BoxBlur(int(rng.integers(0, 4)))).resize((w, h), Image.Resampling.BILINEAR)


def snow(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints a winter field with fir trees and falling snow."""
    image = ramp(w, h, [near(rng, 212, 0.35, 0.75), near(rng, 210, 0.12, 0.95, 6, 0.03)])
    horizon = rng.uniform(0.5, 0.7)
    brush, fir = ImageDraw.Draw(image), near(rng, 150, 0.4, 0.35)
    for x in rng.uniform(0, w, int(rng.integers(0, 9))):
        tall = rng.uniform(0.15, 0.4) * h
        for k in range(3):
            top, half = horizon * h - tall * (1 - k * 0.22), tall * (0.14 + 0.07 * k)
            brush.polygon([(x, top), (x + half, top + tall * 0.5), (x - half, top + tall * 0.5)], fill=fir)
    drift = between(noise(rng, w // 6, h // 6, 3, 2, 2), (205, 218, 236), (250, 251, 255), (w, h))
    image = _ground(image, rng, horizon, drift, 0.02)
    brush = ImageDraw.Draw(image)
    for x, y, r in zip(rng.uniform(0, w, 70), rng.uniform(0, h, 70), rng.uniform(0.8, 3, 70), strict=True):
        brush.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255))
    return image


def desert(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints dunes under a hot sky."""
    image = sky(rng, w, h) if rng.random() < 0.7 else sunset(rng, w, h)
    sand = near(rng, 36, 0.5, 0.85)
    for k, horizon in enumerate((rng.uniform(0.45, 0.58), rng.uniform(0.6, 0.72))):
        dune = between(
            noise(rng, w // 3, h // 3, 6, 3, 5), darker(sand, 0.2 - 0.1 * k), lighter(sand, 0.1 + 0.1 * k), (w, h)
        )
        image = _ground(image, rng, horizon, dune, 0.035)
    return image


def beach(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints sand with a strip of sea."""
    image = sea(rng, w, h)
    sand = near(rng, 40, 0.35, 0.9, 5)
    cover = between(noise(rng, w // 2, h // 2, 14, 3), darker(sand, 0.16), lighter(sand, 0.1), (w, h))
    return _ground(image, rng, rng.uniform(0.1, 0.7), cover, 0.012)


def street(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints houses along a road."""
    image = sky(rng, w, h)
    brush, x = ImageDraw.Draw(image), 0.0
    floor = rng.uniform(0.62, 0.78) * h
    while x < w:
        wide, top = rng.uniform(0.12, 0.28) * w, rng.uniform(0.08, 0.45) * h
        wall = near(rng, rng.uniform(0, 60), rng.uniform(0.1, 0.5), rng.uniform(0.5, 0.9))
        brush.rectangle((x, top, x + wide, floor), fill=wall)
        step = wide / 3.4
        glass = mix(wall, near(rng, 215, 0.4, 0.4), 0.65)
        for column in range(3):
            for y in np.arange(top + step * 0.4, floor - step, step * 1.25):
                left = x + step * (0.3 + column * 1.05)
                brush.rectangle((left, y, left + step * 0.6, y + step * 0.75), fill=glass)
        x += wide
    road = near(rng, 230, 0.06, 0.4)
    brush.rectangle((0, floor, w, h), fill=road)
    brush.rectangle((0, floor, w, floor + h * 0.03), fill=lighter(road, 0.4))
    for left in np.arange(0, w, w / 6):
        brush.rectangle((left, floor + h * 0.14, left + w / 12, floor + h * 0.155), fill=(235, 230, 210))
    return image


def _wood(rng: Rng, w: int, h: int) -> Image.Image:
    brown = near(rng, 28, rng.uniform(0.3, 0.65), rng.uniform(0.45, 0.85), 6)
    stripes = noise(rng, w // 2, h // 2, 2.5, 3, 12)
    image = between(stripes, darker(brown, 0.3), lighter(brown, 0.12), (w, h))
    brush, plank = ImageDraw.Draw(image), rng.uniform(0.16, 0.34) * h
    for y in np.arange(rng.uniform(0, plank), h, plank):
        brush.line((0, y, w, y), fill=darker(brown, 0.55), width=2)
    return image


def table(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints planks seen from above."""
    image = _wood(rng, max(w, h), max(w, h))
    return (image if rng.random() < 0.5 else image.transpose(Image.Transpose.ROTATE_90)).crop((0, 0, w, h))


def room(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints a papered wall above a shelf or floor."""
    wall = near(rng, rng.uniform(0, 360), rng.uniform(0.08, 0.45), rng.uniform(0.6, 0.95))
    image = Image.new("RGB", (w, h), wall)
    brush, style = ImageDraw.Draw(image), rng.random()
    other, step = mix(wall, lighter(vivid(rng), 0.5), 0.35), rng.uniform(0.06, 0.14) * w
    if style < 0.35:
        for x in np.arange(0, w, step):
            brush.rectangle((x, 0, x + step / 2, h), fill=other)
    elif style < 0.6:
        for row, y in enumerate(np.arange(0, h, step)):
            for x in np.arange(step / 2 * (row % 2), w, step):
                brush.ellipse((x - step / 6, y - step / 6, x + step / 6, y + step / 6), fill=other)
    elif style < 0.8:
        x, y, s = rng.uniform(0.05, 0.6) * w, rng.uniform(0.05, 0.2) * h, rng.uniform(0.25, 0.4) * h
        brush.rectangle((x - 5, y - 5, x + s * 1.1 + 5, y + s + 5), fill=(240, 236, 228))
        image.paste(sky(rng, max(8, int(s * 1.1)), max(8, int(s))), (int(x), int(y)))
    return _ground(image, rng, rng.uniform(0.6, 0.82), _wood(rng, w, h))


def cloth(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints a checked or striped table cloth."""
    one, two = lighter(vivid(rng), rng.uniform(0.0, 0.5)), near(rng, 40, 0.05, 0.95)
    image, step = Image.new("RGB", (w, h), two), rng.uniform(0.06, 0.16) * w
    brush = ImageDraw.Draw(image, "RGBA")
    for x in np.arange(0, w, step):
        brush.rectangle((x, 0, x + step / 2, h), fill=(*one, 130))
    if rng.random() < 0.7:
        for y in np.arange(0, h, step):
            brush.rectangle((0, y, w, y + step / 2), fill=(*one, 130))
    return image.rotate(rng.uniform(-3, 3), Image.Resampling.BILINEAR, fillcolor=mix(one, two, 0.5))


def plain(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints a studio backdrop: one colour, brighter in the middle."""
    base = near(rng, rng.uniform(0, 360), rng.uniform(0.02, 0.6), rng.uniform(0.4, 0.97))
    y, x = np.mgrid[0:24, 0:32].astype(np.float32)
    glow = 1 - np.hypot((x - rng.uniform(8, 24)) / 26, (y - rng.uniform(4, 18)) / 22)
    return between(glow, darker(base, 0.3), lighter(base, 0.3), (w, h))


def bokeh(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints lights out of focus."""
    base = near(rng, rng.uniform(0, 360), 0.5, rng.uniform(0.2, 0.6), 20)
    small = between(noise(rng, 32, 24, 3, 2), darker(base, 0.4), lighter(base, 0.2), (w // 2, h // 2))
    brush = ImageDraw.Draw(small, "RGBA")
    for _ in range(int(rng.integers(10, 28))):
        x, y, r = rng.uniform(0, w / 2), rng.uniform(0, h / 2), rng.uniform(5, 28)
        light = mix(lighter(base, 0.5), vivid(rng), rng.uniform(0.1, 0.6))
        brush.ellipse((x - r, y - r, x + r, y + r), fill=(*light, int(rng.integers(50, 140))))
    return small.filter(ImageFilter.BoxBlur(2)).resize((w, h), Image.Resampling.BILINEAR)


def stone(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints marble, plaster or felt."""
    base = near(rng, rng.uniform(0, 360), rng.uniform(0.02, 0.3), rng.uniform(0.45, 0.95))
    veins = np.abs(noise(rng, w // 2, h // 2, rng.uniform(2, 12), 4) - 0.5) * 4
    return between(veins, darker(base, 0.28), lighter(base, 0.1), (w, h))


def water(rng: Rng, w: int, h: int) -> Image.Image:
    """Paints clear water from inside, with rays, plants and bubbles."""
    blue = near(rng, 192, 0.65, 0.72, 16)
    image = ramp(w, h, [lighter(blue, 0.35), blue, darker(blue, 0.45)])
    caustic = 1 - np.abs(noise(rng, w // 4, h // 4, 6, 2) - 0.5) * 7
    mask = Image.fromarray((np.clip(caustic, 0, 1) * 70).astype(np.uint8)).resize((w, h))
    image.paste(lighter(blue, 0.8), mask=mask)
    brush = ImageDraw.Draw(image, "RGBA")
    for x in rng.uniform(0, w, int(rng.integers(0, 9))):
        tall, sway = rng.uniform(0.15, 0.5) * h, rng.uniform(0, 6)
        path = [(x + 9 * math.sin(sway + k * 0.9), h - tall * k / 7) for k in range(8)]
        brush.line(path, fill=(*near(rng, 125, 0.6, 0.42, 20), 220), width=int(rng.integers(4, 11)), joint="curve")
    for _ in range(int(rng.integers(0, 14))):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(2, 9)
        brush.ellipse((x - r, y - r, x + r, y + r), outline=(235, 250, 255, 190), width=2)
    return image


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        sky,
        sunset,
        night,
        sea,
        meadow,
        lawn,
        leaves,
        snow,
        desert,
        beach,
        street,
        table,
        room,
        cloth,
        plain,
        bokeh,
        stone,
        water,
    )
}
