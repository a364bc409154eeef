"""A pen that draws antialiased shapes in unit coordinates: x right, y down, the object inside [-1, 1] x [-1, 1]."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Points = NDArray[np.float64]
PointList = Points | Sequence[tuple[float, float]]


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Returns the RGB colour of a hue in degrees and a saturation and value in 0..1 (clipped)."""
    r, g, b = colorsys.hsv_to_rgb((hue % 360) / 360, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return round(r * 255), round(g * 255), round(b * 255)


def near(
    rng: np.random.Generator, hue: float, saturation: float, value: float, hue_spread: float = 8, spread: float = 0.08
) -> Colour:
    """Draws a colour around the one given."""
    return hsv(
        hue + rng.uniform(-hue_spread, hue_spread),
        saturation + rng.uniform(-spread, spread),
        value + rng.uniform(-spread, spread),
    )


def vivid(rng: np.random.Generator) -> Colour:
    """Draws a strong colour of any hue."""
    return hsv(rng.uniform(0, 360), rng.uniform(0.6, 0.95), rng.uniform(0.7, 1.0))


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Blends two colours; share 0 gives the first, 1 the second."""
    r, g, b = (round(a + (c - a) * share) for a, c in zip(one, other, strict=True))
    return r, g, b


def darker(colour: Colour, share: float = 0.3) -> Colour:
    """Blends a colour towards a warm black."""
    return mix(colour, (20, 12, 16), share)


def lighter(colour: Colour, share: float = 0.3) -> Colour:
    """Blends a colour towards white."""
    return mix(colour, (255, 255, 255), share)


def oval(cx: float, cy: float, rx: float, ry: float, angle: float = 0, corners: int = 48) -> Points:
    """Returns the outline of an ellipse, rotated by an angle in degrees."""
    t = np.linspace(0, 2 * math.pi, corners, endpoint=False)
    return moved(turned(np.stack([rx * np.cos(t), ry * np.sin(t)], axis=1), angle), cx, cy)


def box(x0: float, y0: float, x1: float, y1: float, rounding: float = 0.0) -> Points:
    """Returns the outline of an upright rectangle with rounded corners."""
    r = min(rounding, abs(x1 - x0) / 2, abs(y1 - y0) / 2)
    if r <= 0:
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=np.float64)
    t = np.linspace(0, math.pi / 2, 7)
    quarter = np.stack([np.cos(t), np.sin(t)], axis=1) * r
    centres = [(x1 - r, y1 - r), (x0 + r, y1 - r), (x0 + r, y0 + r), (x1 - r, y0 + r)]
    return np.concatenate([turned(quarter, 90 * k) + centre for k, centre in enumerate(centres)])


def moved(points: PointList, x: float, y: float) -> Points:
    """Moves points by x and y."""
    placed: Points = np.asarray(points, dtype=np.float64) + np.array([x, y])
    return placed


def turned(points: PointList, angle: float) -> Points:
    """Rotates points around the origin by an angle in degrees (clockwise as seen, because y points down)."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    placed: Points = np.asarray(points, dtype=np.float64) @ np.array([[c, s], [-s, c]])
    return placed


def smooth(points: PointList, closed: bool = True, steps: int = 8) -> Points:
    """Returns a Catmull-Rom curve through the points."""
    p = np.asarray(points, dtype=np.float64)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (q[:, None, :] for q in (a, b, c, d))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - 3 * c + d - a) * t**3)
    flat = curve.reshape(-1, 2)
    return flat if closed else np.concatenate([flat, p[-1:]])


def mirrored(half: PointList) -> Points:
    """Completes a left-right symmetric outline from its right half, given from top to bottom."""
    right = np.asarray(half, dtype=np.float64)
    return np.concatenate([right, (right * (-1, 1))[::-1]])


class Pen:
    """Draws on a square layer whose colours stay black where nothing was drawn, so that they are premultiplied."""

    def __init__(self, pixels: int, matrix: NDArray[np.float64]) -> None:
        """Opens a layer of pixels x pixels; the 2 x 3 matrix maps unit coordinates to pixels."""
        self.colour = Image.new("RGB", (pixels, pixels))
        self.mask = Image.new("L", (pixels, pixels))
        self._matrix = matrix
        self._scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
        self._brush = ImageDraw.Draw(self.colour, "RGBA")
        self._stencil: ImageDraw.ImageDraw | None = ImageDraw.Draw(self.mask)

    def fill(self, outline: PointList, colour: Colour, alpha: int = 255) -> None:
        """Fills an outline; a translucent fill tints existing pixels and does not extend the object's shape."""
        points = self._placed(outline)
        self._brush.polygon(points, fill=(*colour, alpha))
        if self._stencil is not None and alpha == 255:
            self._stencil.polygon(points, fill=255)

    def line(self, path: PointList, width: float, colour: Colour, alpha: int = 255) -> None:
        """Strokes a path with round joints and ends; the width is in unit coordinates."""
        points = self._placed(path)
        pixels = max(1, round(width * self._scale))
        self._stroke(self._brush, points, pixels, (*colour, alpha), round_joints=alpha == 255)
        if self._stencil is not None and alpha == 255:
            self._stroke(self._stencil, points, pixels, 255, round_joints=True)

    def outline(self, outline: PointList, width: float, colour: Colour, alpha: int = 255) -> None:
        """Strokes a closed outline."""
        points = np.asarray(outline, dtype=np.float64)
        self.line(np.concatenate([points, points[:1]]), width, colour, alpha)

    def dot(self, x: float, y: float, radius: float, colour: Colour, alpha: int = 255) -> None:
        """Fills a circle."""
        self.fill(oval(x, y, radius, radius, corners=28), colour, alpha)

    @contextmanager
    def inside(self, outline: PointList) -> Iterator[None]:
        """Clips everything drawn in the block to an outline."""
        kept, stencil = self.colour, self._stencil
        self.colour = kept.copy()
        self._brush = ImageDraw.Draw(self.colour, "RGBA")
        self._stencil = None
        yield
        window = Image.new("L", kept.size)
        ImageDraw.Draw(window).polygon(self._placed(outline), fill=255)
        if (box := window.getbbox()) is not None:
            window = window.crop(box)
            kept.paste(self.colour.crop(box), box, window)
            if stencil is not None:
                self.mask.paste(255, box, window)
        self.colour = kept
        self._stencil = stencil
        self._brush = ImageDraw.Draw(kept, "RGBA")

    def _placed(self, points: PointList) -> list[tuple[float, float]]:
        placed = np.asarray(points, dtype=np.float64) @ self._matrix[:, :2].T + self._matrix[:, 2]
        return [(x, y) for x, y in placed.tolist()]

    @staticmethod
    def _stroke(
        brush: ImageDraw.ImageDraw,
        points: list[tuple[float, float]],
        pixels: int,
        fill: int | tuple[int, ...],
        round_joints: bool,
    ) -> None:
        brush.line(points, fill=fill, width=pixels, joint="curve")
        if round_joints and pixels > 2:
            r = pixels / 2
            for x, y in (points[0], points[-1]):
                brush.ellipse((x - r, y - r, x + r, y + r), fill=fill)
