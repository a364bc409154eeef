"""Draws the edible concepts."""

from __future__ import annotations

import math

import numpy as np

from tagmill.demo.pen import (
    Pen,
    Points,
    darker,
    hsv,
    lighter,
    mirrored,
    mix,
    moved,
    near,
    oval,
    smooth,
    turned,
    vivid,
)

Rng = np.random.Generator


def leaf(pen: Pen, rng: Rng, x: float, y: float, length: float, angle: float) -> None:
    """Draws one green leaf with its vein from a stem point."""
    green = near(rng, 115, 0.65, 0.55, 18)
    blade = smooth([(0, 0), (0.35, -0.2), (0.75, -0.14), (1, 0), (0.7, 0.16), (0.3, 0.17)])
    pen.fill(moved(turned(blade * length, angle), x, y), green)
    pen.line(moved(turned([(0, 0), (length * 0.9, 0)], angle), x, y), 0.02, lighter(green))


def apple(pen: Pen, rng: Rng) -> None:
    """Draws an apple: red, green or yellow, often blushed, sometimes bitten."""
    hue = float(rng.choice([0, 355, 8, 85, 50]))
    skin = near(rng, hue, 0.82, 0.78, 7)
    half = [(0, -0.6), (0.3, -0.74), (0.68, -0.62), (0.86, -0.2), (0.72, 0.4), (0.4, 0.78), (0.12, 0.76)]
    body = smooth(mirrored(np.array(half) * (rng.uniform(0.95, 1.12), 1)))
    pen.line(smooth([(0, -0.55), (0.03, -0.8), (0.12, -1.0)], closed=False), 0.09, near(rng, 28, 0.6, 0.35))
    with pen.inside(body):
        pen.fill(body, skin)
        blush = near(rng, hue - 25, 0.8, 0.8, 12)
        for radius in (0.85, 0.65, 0.45):
            pen.fill(oval(0.5, 0.1, radius * 0.7, radius), blush, 45)
        for _ in range(int(rng.integers(8, 40))):
            x, y = rng.uniform(-0.8, 0.8, 2)
            pen.dot(x, y, 0.015, lighter(skin, 0.5), 150)
        pen.fill(oval(0, -0.62, 0.28, 0.1), darker(skin, 0.5), 170)
    if rng.random() < 0.7:
        leaf(pen, rng, 0.06, -0.78, rng.uniform(0.4, 0.6), rng.uniform(-40, 10))
    if rng.random() < 0.15:
        pen.fill(oval(0.72, 0.0, 0.3, 0.34), near(rng, 48, 0.28, 0.95))
        pen.fill(oval(0.62, -0.02, 0.05, 0.09, 15), (70, 40, 25))
    pen.fill(oval(-0.4, -0.3, 0.12, 0.2, 20), (255, 255, 255), 110)


def banana(pen: Pen, rng: Rng) -> None:
    """Draws one banana or a bunch, from green to ripe with spots."""
    count = int(rng.choice([1, 1, 2, 3]))
    hue = rng.uniform(46, 58) if rng.random() < 0.85 else rng.uniform(62, 75)
    for k in range(count):
        turn = (k - (count - 1) / 2) * 24
        skin = near(rng, hue, 0.8, 0.93, 3, 0.05)
        t = np.linspace(-0.15, 1.1, 20) * math.pi * 0.72
        spine = np.stack([0.85 * np.cos(t), 0.85 * np.sin(t)], axis=1)
        width = 0.2 * np.sin(np.linspace(0.22, math.pi - 0.3, 20)) ** 0.6 + 0.02
        radial = spine / 0.85
        outer, inner = spine + radial * width[:, None], spine - radial * width[:, None]
        shift = np.array([-0.25, -0.42])
        body = turned(np.concatenate([outer, inner[::-1]]) + shift, turn)
        with pen.inside(body):
            pen.fill(body, skin)
            pen.fill(
                turned(np.concatenate([spine + radial * 0.3, (spine + radial * 0.08)[::-1]]) + shift, turn),
                darker(skin, 0.3),
                120,
            )
            pen.line(turned(spine - radial * 0.04 + shift, turn), 0.025, darker(skin, 0.25), 120)
            if rng.random() < 0.5:
                for _ in range(int(rng.integers(5, 25))):
                    i = int(rng.integers(3, 17))
                    x, y = turned([spine[i] + radial[i] * rng.uniform(-0.15, 0.15) + shift], turn)[0]
                    pen.fill(oval(x, y, 0.03, 0.015, rng.uniform(0, 180), 10), (95, 60, 25), 170)
        pen.line(turned(spine[[0, 1]] + shift, turn), 0.1, (96, 74, 34))
        pen.line(turned(spine[[-1, -2]] + shift, turn), 0.06, (70, 52, 30))
        pen.outline(body, 0.015, darker(skin, 0.35))


def strawberry(pen: Pen, rng: Rng) -> None:
    """Draws a strawberry with seeds and a crown of leaves."""
    skin = near(rng, 353, 0.88, 0.86, 7)
    half = [(0, -0.62), (0.4, -0.68), (0.76, -0.46), (0.72, -0.05), (0.45, 0.5), (0.15, 0.88)]
    body = smooth(mirrored(np.array(half) * (rng.uniform(0.85, 1.1), 1)))
    with pen.inside(body):
        pen.fill(body, skin)
        pen.fill(oval(0, -0.7, 0.9, 0.3), lighter(skin, 0.45), 110)
        seed = near(rng, 48, 0.6, 0.95)
        for row, y in enumerate(np.linspace(-0.5, 0.8, 8)):
            for x in np.arange(-0.9, 1.0, 0.24) + 0.12 * (row % 2):
                pen.fill(oval(x, y, 0.045, 0.06, corners=10), darker(skin, 0.3))
                pen.fill(oval(x, y, 0.025, 0.042, corners=10), seed)
    green = near(rng, 110, 0.7, 0.55)
    for angle in np.linspace(-10, 190, int(rng.integers(5, 9))):
        tip = moved(turned([(rng.uniform(0.42, 0.6), 0)], angle)[0] * (1, 0.5), 0, -0.64)
        side = turned([(0, 0.1)], angle)[0]
        pen.fill([(0 + side[0], -0.68 + side[1]), tuple(tip), (-side[0], -0.68 - side[1])], green)
    pen.fill(oval(0, -0.68, 0.24, 0.09), green)
    pen.line(smooth([(0, -0.68), (0.03, -0.85), (0.14, -0.98)], closed=False), 0.06, green)
    pen.fill(oval(-0.35, -0.28, 0.08, 0.16, 15), (255, 255, 255), 90)


def watermelon(pen: Pen, rng: Rng) -> None:
    """Draws a slice of watermelon, or a whole striped one."""
    rind = near(rng, 125, 0.7, 0.45, 10)
    if rng.random() < 0.3:
        body = oval(0, 0, 1.0, rng.uniform(0.7, 0.95))
        with pen.inside(body):
            pen.fill(body, lighter(rind, 0.25))
            for k in np.linspace(-0.95, 0.95, 7):
                path = [(k + rng.uniform(-0.05, 0.05), y) for y in np.linspace(-1, 1, 12)]
                bent = np.array(path) * (1, 1) - np.array([[k * 0.75 * y * y, 0] for _, y in path])
                pen.line(smooth(bent, closed=False), 0.13, darker(rind, 0.3))
        return
    flesh = near(rng, 352, 0.72, 0.92, 8)
    wedge = rng.random() < 0.5
    t = np.linspace(0, math.pi, 30) if not wedge else np.linspace(math.pi * 0.25, math.pi * 0.75, 30)
    lift = 0.45 if not wedge else 0.62
    size = 1.0 if not wedge else 1.5
    for radius, colour in ((1.0, rind), (0.9, (222, 236, 190)), (0.84, flesh)):
        arc = np.stack([np.cos(t), np.sin(t)], axis=1) * radius
        points = np.concatenate([arc, [(0.0, 0.0)]]) if wedge else arc
        pen.fill(points * size - (0, lift * size), colour)
    for _ in range(int(rng.integers(10, 22))):
        angle, radius = rng.uniform(t[0] + 0.2, t[-1] - 0.2), rng.uniform(0.25, 0.74)
        x, y = radius * math.cos(angle) * size, (radius * math.sin(angle) - lift) * size
        pen.fill(oval(x, y, 0.028, 0.05, math.degrees(angle) - 90, 12), (40, 22, 20))


def pumpkin(pen: Pen, rng: Rng) -> None:
    """Draws a ribbed pumpkin, sometimes carved into a lantern."""
    skin = near(rng, 27, 0.88, 0.9, 6)
    pen.line(smooth([(0, -0.5), (0.02, -0.75), (0.16, -0.92)], closed=False), 0.17, near(rng, 85, 0.5, 0.38))
    tall = rng.uniform(0.58, 0.75)
    for offset, shade in ((0.62, 0.26), (0.4, 0.14), (0.0, 0.0)):
        for sign in (-1, 1):
            body = oval(sign * offset, 0.12, 0.4 - offset * 0.06, tall * (1 - offset * 0.18))
            pen.fill(body, darker(skin, shade))
            pen.outline(body, 0.02, darker(skin, 0.42))
    if rng.random() < 0.35:
        glow = near(rng, 50, 0.75, 1.0)
        for sign in (-1, 1):
            pen.fill([(sign * 0.2, -0.02), (sign * 0.5, -0.02), (sign * 0.36, -0.28)], glow)
        grin = [
            (-0.6, 0.2),
            (-0.3, 0.32),
            (-0.15, 0.26),
            (0, 0.36),
            (0.15, 0.26),
            (0.3, 0.32),
            (0.6, 0.2),
            (0.34, 0.56),
            (0.16, 0.48),
            (0, 0.6),
            (-0.16, 0.48),
            (-0.34, 0.56),
        ]
        pen.fill(grin, glow)
    else:
        pen.fill(oval(-0.22, -0.22, 0.07, 0.2, 10), (255, 255, 255), 80)


def pizza(pen: Pen, rng: Rng) -> None:
    """Draws a pizza, whole or a slice, with its own toppings."""
    crust, cheese, sauce = near(rng, 33, 0.6, 0.8), near(rng, 46, 0.55, 0.97), near(rng, 12, 0.8, 0.75)
    whole = rng.random() < 0.6
    if whole:
        discs: list[Points] = [oval(0, 0, r, r) * rng.uniform(0.985, 1.015, (48, 1)) for r in (1.0, 0.86, 0.82)]
    else:
        t = np.radians(np.linspace(-27, 27, 20) + 90)
        arc = np.stack([np.cos(t), np.sin(t)], axis=1)
        discs = [np.concatenate([arc * r, [(0.0, 0.05)]]) * 1.9 - (0, 1.0) for r in (1.0, 0.9, 0.87)]
    for disc, colour in zip(discs, (crust, sauce, cheese), strict=True):
        pen.fill(disc, colour)
    with pen.inside(discs[2]):
        for _ in range(30):
            x, y = rng.uniform(-0.85, 0.85, 2)
            pen.dot(x, y, rng.uniform(0.03, 0.12), mix(cheese, sauce, rng.uniform(0.1, 0.5)), 120)
        meat, green = near(rng, 6, 0.75, 0.72), near(rng, 115, 0.6, 0.45)
        for k in range(11):
            radius, angle = (0.6, k * 40.0) if k < 9 else (0.2, k * 180.0)
            x, y = turned([(radius, 0)], angle + rng.uniform(-9, 9))[0] if whole else rng.uniform(-0.6, 0.7, 2)
            pen.dot(x, y, 0.145, darker(meat, 0.25))
            pen.dot(x, y, 0.125, meat)
        for _ in range(int(rng.integers(0, 12))):
            x, y = rng.uniform(-0.75, 0.75, 2)
            if rng.random() < 0.5:
                pen.fill(oval(x, y, 0.11, 0.05, rng.uniform(0, 180), 14), green)
            else:
                pen.dot(x, y, 0.06, (45, 40, 45))
                pen.dot(x, y, 0.025, cheese)
        for angle in (10, 70, 130) if whole else ():
            pen.line(turned([(-1, 0), (1, 0)], angle), 0.02, darker(cheese, 0.35))


def donut(pen: Pen, rng: Rng) -> None:
    """Draws a ring doughnut with icing and sprinkles, seen from above or at a slant."""
    slant = rng.uniform(0.62, 1.0)
    dough = near(rng, 32, 0.62, 0.8)
    hue = float(rng.choice([330, 20, 45, 200, 280]))
    icing = near(rng, hue, 0.45, 0.95) if hue != 20 else near(rng, 20, 0.7, 0.38)
    hole = rng.uniform(0.24, 0.34)
    t = np.linspace(0, 2 * math.pi, 60)
    wave = 1 + 0.04 * np.sin(t * int(rng.integers(6, 11)) + rng.uniform(0, 6))

    def ring(outer: float, inner: float, dy: float, wavy: bool) -> Points:
        circle = np.stack([np.cos(t), np.sin(t) * slant], axis=1)
        rim = wave[:, None] if wavy else 1.0
        return moved(np.concatenate([circle * outer * rim, (circle * inner * rim)[::-1]]), 0, dy)

    pen.fill(ring(0.98, hole, 0.08, False), darker(dough, 0.25))
    pen.fill(ring(0.98, hole, 0.0, False), dough)
    pen.fill(ring(0.86, hole + 0.1, -0.03, True), icing)
    for _ in range(int(rng.integers(0, 60))):
        angle, radius = rng.uniform(0, 360), rng.uniform(hole + 0.16, 0.78)
        x, y = turned([(radius, 0)], angle)[0] * (1, slant)
        stroke = moved(turned([(-0.045, 0), (0.045, 0)], rng.uniform(0, 180)), x, y - 0.03)
        pen.line(stroke, 0.035, vivid(rng))
    pen.line(turned(oval(0, 0, 0.72, 0.72)[26:34], 0) * (1, slant) - (0, 0.03), 0.05, (255, 255, 255), 110)


def cupcake(pen: Pen, rng: Rng) -> None:
    """Draws a cupcake: pleated paper, swirled cream and something on top."""
    paper = vivid(rng)
    cup = np.array([(-0.62, 0.05), (0.62, 0.05), (0.44, 0.92), (-0.44, 0.92)])
    with pen.inside(cup):
        pen.fill(cup, paper)
        for k in np.linspace(-0.6, 0.6, 8):
            pen.line([(k, 0.05), (k * 0.7, 0.92)], 0.06, lighter(paper, 0.45))
    cream = near(rng, rng.choice([330, 30, 200, 280, 50, 150]), rng.uniform(0.08, 0.4), 0.95)
    levels = [(0.8, 0.02), (0.62, -0.24), (0.4, -0.48), (0.2, -0.68)]
    for k, (radius, y) in enumerate(levels):
        swirl = oval(0, y, radius, 0.21, -6)
        pen.fill(moved(swirl, 0, 0.05), darker(cream, 0.22))
        pen.fill(swirl, mix(cream, (255, 255, 255), k * 0.08))
    for _ in range(int(rng.integers(0, 30))):
        radius, y = levels[int(rng.integers(0, 3))]
        x = rng.uniform(-radius, radius) * 0.8
        pen.line(
            moved(turned([(-0.035, 0), (0.035, 0)], rng.uniform(0, 180)), x, y + rng.uniform(-0.1, 0.1)),
            0.03,
            vivid(rng),
        )
    if rng.random() < 0.65:
        pen.dot(0, -0.84, 0.13, near(rng, 350, 0.9, 0.8))
        pen.line(smooth([(0, -0.92), (0.06, -1.05), (0.18, -1.1)], closed=False), 0.03, (70, 100, 40))


def icecream(pen: Pen, rng: Rng) -> None:
    """Draws an ice cream cone with one to three scoops."""
    wafer = near(rng, 34, 0.6, 0.83)
    cone = np.array([(-0.4, 0.0), (0.4, 0.0), (0.0, 1.0)])
    with pen.inside(cone):
        pen.fill(cone, wafer)
        for k in np.linspace(-1.2, 1.2, 13):
            pen.line([(k - 0.5, 0), (k + 0.5, 1)], 0.025, darker(wafer, 0.35))
            pen.line([(k + 0.5, 0), (k - 0.5, 1)], 0.025, darker(wafer, 0.35))
    count = int(rng.choice([1, 2, 2, 3]))
    spots = [(0.0, -0.12)] if count == 1 else [(-0.27, -0.1), (0.27, -0.1), (0.0, -0.52)]
    if count == 2:
        spots = [(0.0, -0.12), (0.0, -0.6)]
    radius = 0.47 if count < 3 else 0.38
    for x, y in spots:
        hue, saturation, value = [
            (340, 0.4, 0.97),
            (45, 0.25, 0.98),
            (22, 0.65, 0.45),
            (140, 0.3, 0.9),
            (210, 0.3, 0.95),
            (28, 0.5, 0.98),
        ][int(rng.integers(0, 6))]
        scoop = near(rng, hue, saturation, value)
        edge = oval(x, y, radius, radius * 0.95)
        pen.fill(edge, scoop)
        for k in np.linspace(-1, 1, 7):
            pen.dot(x + k * radius * 0.88, y + radius * (0.62 + 0.1 * math.cos(k * 9)), radius * 0.22, scoop)
        if rng.random() < 0.4:
            for _ in range(12):
                dx, dy = rng.uniform(-0.7, 0.7, 2) * radius
                pen.dot(x + dx, y + dy, 0.025, darker(scoop, 0.65))
        pen.fill(oval(x - radius * 0.35, y - radius * 0.4, radius * 0.25, radius * 0.14, -35), hsv(0, 0, 1), 120)
    if rng.random() < 0.3:
        pen.line([(0.25, -0.5), (0.5, -1.0)], 0.09, darker(wafer, 0.1))


DRAWN = {
    "apple": apple,
    "banana": banana,
    "strawberry": strawberry,
    "watermelon": watermelon,
    "pumpkin": pumpkin,
    "pizza": pizza,
    "donut": donut,
    "cupcake": cupcake,
    "icecream": icecream,
}
