"""Draws vehicles on land, on water and in the air."""

from __future__ import annotations

import math

import numpy as np

from tagmill.demo.pen import Pen, box, darker, lighter, mirrored, moved, near, oval, smooth, turned, vivid

Rng = np.random.Generator
WHITE, INK, GLASS, STEEL = (250, 250, 248), (28, 26, 32), (178, 214, 232), (170, 174, 182)


def car(pen: Pen, rng: Rng) -> None:
    """Draws a car from the side: saloon, beetle or van."""
    paint = vivid(rng) if rng.random() < 0.8 else near(rng, 220, 0.1, rng.uniform(0.3, 0.95))
    style = int(rng.integers(0, 3))
    if style == 0:
        hull = [
            (-1.0, 0.05),
            (-0.6, -0.04),
            (-0.38, -0.42),
            (0.28, -0.42),
            (0.58, -0.04),
            (0.96, 0.06),
            (1.0, 0.4),
            (-1.0, 0.4),
        ]
        glass = [(-0.48, -0.05), (-0.32, -0.34), (0.24, -0.34), (0.45, -0.05)]
    elif style == 1:
        hull = list(
            map(
                tuple,
                smooth(
                    [
                        (-0.98, 0.35),
                        (-0.85, -0.05),
                        (-0.45, -0.48),
                        (0.1, -0.56),
                        (0.5, -0.2),
                        (0.85, -0.05),
                        (1.0, 0.3),
                        (0.0, 0.42),
                    ]
                ),
            )
        )
        glass = [(-0.5, -0.1), (-0.34, -0.4), (0.14, -0.44), (0.4, -0.1)]
    else:
        hull = list(map(tuple, box(-0.95, -0.58, 0.95, 0.4, 0.16)))
        glass = [(-0.85, -0.08), (-0.85, -0.45), (0.75, -0.45), (0.88, -0.08)]
    pen.fill(hull, paint)
    with pen.inside(hull):
        pen.fill(box(-1, 0.28, 1, 0.5), darker(paint, 0.35))
        pen.line([(-1, 0.08), (1, 0.08)], 0.025, darker(paint, 0.3))
        pen.fill(oval(-0.1, -0.5, 0.9, 0.06), WHITE, 60)
    pen.fill(glass, GLASS)
    with pen.inside(glass):
        pen.fill([(-0.25, -0.6), (-0.05, -0.6), (-0.3, 0.1), (-0.5, 0.1)], WHITE, 110)
        for x in (-0.03,) if style < 2 else (-0.3, 0.28):
            pen.line([(x, -0.6), (x, 0)], 0.06, paint)
    pen.line([(-0.05, -0.02), (-0.05, 0.3)], 0.018, darker(paint, 0.4))
    pen.fill(box(0.02, 0.12, 0.14, 0.15), darker(paint, 0.5))
    pen.fill(oval(0.92, 0.14, 0.06, 0.08), (255, 238, 160))
    pen.fill(oval(-0.93, 0.14, 0.045, 0.07), (200, 30, 30))
    for x in (-0.55, 0.56):
        pen.dot(x, 0.4, 0.27, darker(paint, 0.6))
        pen.dot(x, 0.42, 0.235, INK)
        pen.dot(x, 0.42, 0.13, STEEL)
        pen.dot(x, 0.42, 0.05, (90, 92, 98))


def bicycle(pen: Pen, rng: Rng) -> None:
    """Draws a bicycle from the side."""
    frame = vivid(rng)
    tyre = INK if rng.random() < 0.75 else near(rng, 35, 0.3, 0.85)
    rear, front, crank, seat, head = (-0.58, 0.32), (0.58, 0.32), (-0.08, 0.36), (-0.24, -0.32), (0.38, -0.34)
    for x, y in (rear, front):
        for angle in range(0, 180, 22):
            pen.line(moved(turned([(-0.37, 0), (0.37, 0)], angle), x, y), 0.012, STEEL)
        pen.outline(oval(x, y, 0.38, 0.38), 0.06, tyre)
        pen.outline(oval(x, y, 0.335, 0.335), 0.02, STEEL)
        pen.dot(x, y, 0.05, STEEL)
    for path in ([rear, crank, head], [seat, rear], [seat, crank], [seat, head], [head, front]):
        pen.line(path, 0.062, frame)
    pen.line([(seat[0], seat[1]), (-0.28, -0.45)], 0.04, STEEL)
    pen.fill(smooth([(-0.46, -0.5), (-0.3, -0.53), (-0.08, -0.48), (-0.3, -0.43)]), INK)
    pen.line([head, (0.34, -0.5)], 0.045, STEEL)
    if rng.random() < 0.5:
        pen.line(smooth([(0.34, -0.5), (0.5, -0.54), (0.56, -0.4), (0.44, -0.34)], closed=False), 0.055, INK)
    else:
        pen.line([(0.5, -0.52), (0.34, -0.5), (0.2, -0.6)], 0.055, INK)
    pen.outline(oval(*crank, 0.11, 0.11), 0.03, STEEL)
    pedal = turned([(-0.17, 0), (0.17, 0)], rng.uniform(0, 180)) + crank
    pen.line(pedal, 0.035, STEEL)
    for x, y in pedal:
        pen.line([(x - 0.06, y), (x + 0.06, y)], 0.04, INK)
    if rng.random() < 0.3:
        basket = near(rng, 32, 0.55, 0.7)
        pen.fill([(0.5, -0.42), (0.86, -0.42), (0.8, -0.14), (0.54, -0.14)], basket)
        for k in (0.6, 0.68, 0.76):
            pen.line([(k, -0.42), (k, -0.14)], 0.015, darker(basket, 0.35))


def sailboat(pen: Pen, rng: Rng) -> None:
    """Draws a sailing boat with one or two sails."""
    hull, sail = vivid(rng), lighter(vivid(rng), rng.uniform(0.3, 0.95))
    pen.line([(0, -1.0), (0, 0.5)], 0.05, (110, 78, 52))
    main = smooth([(0.05, -0.92), (0.42, -0.35), (0.72, 0.32), (0.05, 0.34)], steps=3)
    jib = np.array([(-0.06, -0.82), (-0.06, 0.3), (-0.68, 0.32)])
    for k, shape in enumerate((main, jib) if rng.random() < 0.8 else (main,)):
        with pen.inside(shape):
            pen.fill(shape, darker(sail, 0.12 * k))
            if rng.random() < 0.5:
                for y in (-0.3, 0.0):
                    pen.line([(-1, y), (1, y - 0.08)], 0.1, hull)
            else:
                for y in (-0.5, -0.2, 0.1):
                    pen.line([(-1, y), (1, y - 0.05)], 0.015, darker(sail, 0.25))
    boat = [(-0.92, 0.42), (0.95, 0.42), (0.68, 0.8), (-0.6, 0.8)]
    with pen.inside(boat):
        pen.fill(boat, hull)
        pen.fill(box(-1, 0.66, 1, 0.9), darker(hull, 0.45))
        pen.line([(-1, 0.49), (1, 0.49)], 0.05, WHITE)
    flag = vivid(rng)
    pen.fill([(0.0, -1.0), (-0.2, -0.94), (0.0, -0.88)], flag)


def rocket(pen: Pen, rng: Rng) -> None:
    """Draws a rocket with fins and a flame."""
    skin, trim = lighter(vivid(rng), rng.choice([0.2, 0.85])), vivid(rng)
    if rng.random() < 0.75:
        for colour, size in (((250, 140, 40), 1.0), ((255, 214, 80), 0.65), ((255, 250, 220), 0.35)):
            tip = 0.5 + 0.5 * size * rng.uniform(0.85, 1.0)
            pen.fill(
                smooth([(-0.2 * size, 0.5), (0.2 * size, 0.5), (0.14 * size, 0.72), (0, tip), (-0.14 * size, 0.72)]),
                colour,
            )
    for side in (-1, 1):
        fin = np.array([(0.24, 0.05), (0.56, 0.42), (0.52, 0.72), (0.2, 0.48)]) * (side, 1)
        pen.fill(smooth(fin, steps=4), trim)
    body = smooth(mirrored([(0, -1.0), (0.16, -0.82), (0.3, -0.4), (0.32, 0.1), (0.2, 0.52)]))
    with pen.inside(body):
        pen.fill(body, skin)
        pen.fill(box(-1, -1.1, 1, -0.62), trim)
        pen.fill(box(-1, 0.3, 1, 0.38), trim)
        pen.fill(box(0.12, -1, 1, 1), darker(skin, 0.5), 60)
    for y in (-0.3, 0.06)[: int(rng.integers(1, 3))]:
        pen.dot(0, y, 0.145, darker(trim, 0.3))
        pen.dot(0, y, 0.11, GLASS)
        pen.dot(-0.03, y - 0.03, 0.035, WHITE)
    pen.fill(smooth([(-0.05, 0.2), (0.05, 0.2), (0.05, 0.68), (-0.05, 0.68)], steps=3), darker(trim, 0.15))


def hotairballoon(pen: Pen, rng: Rng) -> None:
    """Draws a hot-air balloon with coloured gores and a basket."""
    colours = [vivid(rng) for _ in range(int(rng.integers(2, 4)))]
    for x in (-0.34, -0.12, 0.12, 0.34):
        pen.line([(x, 0.3), (x * 0.45, 0.74)], 0.016, (80, 60, 48))
    half = [(0, -1.0), (0.42, -0.93), (0.72, -0.62), (0.74, -0.22), (0.5, 0.16), (0.24, 0.46)]
    bag = smooth(mirrored(half))
    with pen.inside(bag):
        pen.fill(bag, colours[0])
        gores = 9
        edges = [math.sin(math.pi * (k / gores - 0.5)) for k in range(gores + 1)]
        profile = np.array(half)
        for k in range(gores):
            right, left = profile * (edges[k + 1], 1), profile * (edges[k], 1)
            pen.fill(np.concatenate([right, left[::-1]]), colours[k % len(colours)])
        if rng.random() < 0.4:
            band = vivid(rng)
            pen.fill(box(-1, -0.42, 1, -0.2), band)
            for x in np.linspace(-0.7, 0.7, 8):
                pen.fill(moved(turned(box(-0.07, -0.07, 0.07, 0.07), 45), x, -0.31), lighter(band, 0.7))
        pen.fill(oval(-0.35, -0.6, 0.12, 0.24, 25), WHITE, 70)
    basket = near(rng, 30, 0.6, 0.55)
    pen.fill(box(-0.18, 0.72, 0.18, 0.98, 0.05), basket)
    for y in (0.8, 0.88):
        pen.line([(-0.16, y), (0.16, y)], 0.015, darker(basket, 0.4))
    pen.line([(-0.18, 0.73), (0.18, 0.73)], 0.04, darker(basket, 0.35))


DRAWN = {
    "car": car,
    "bicycle": bicycle,
    "sailboat": sailboat,
    "rocket": rocket,
    "hotairballoon": hotairballoon,
}
