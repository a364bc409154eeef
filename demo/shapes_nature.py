"""Draws plants and animals."""

from __future__ import annotations

import math

import numpy as np

from tagmill.demo.pen import Pen, box, darker, lighter, mirrored, mix, moved, near, oval, smooth, turned, vivid

Rng = np.random.Generator
WHITE, INK = (250, 250, 248), (24, 22, 28)


def eye(pen: Pen, x: float, y: float, radius: float, look: float = 0.0) -> None:
    """Draws an eye with its highlight."""
    pen.dot(x, y, radius, WHITE)
    pen.dot(x + look * radius * 0.3, y, radius * 0.6, INK)
    pen.dot(x + radius * 0.2 + look * radius * 0.2, y - radius * 0.25, radius * 0.2, WHITE)


def mushroom(pen: Pen, rng: Rng) -> None:
    """Draws one mushroom or two: red with white dots, or brown."""
    fly = rng.random() < 0.65
    cap = near(rng, 4, 0.85, 0.82) if fly else near(rng, 28, 0.5, rng.uniform(0.45, 0.75), 6)
    stem = near(rng, 42, 0.15, 0.95)
    for x, size in ((0.0, 1.0), (0.62, 0.5))[: int(rng.choice([1, 1, 2]))]:
        down = np.array([x, 0.92 * (1 - size)])
        tall, wide = rng.uniform(0.9, 1.1), rng.uniform(0.85, 1.1)
        leg = smooth(mirrored([(0.14, -0.1), (0.17, 0.3), (0.24, 0.7), (0.2, 0.92)]))
        pen.fill(leg * size + down, stem)
        pen.line(np.array([(-0.08, 0.2), (-0.1, 0.8)]) * size + down, 0.02, darker(stem, 0.25))
        pen.fill(oval(0, -0.02, 0.8 * wide, 0.14) * size + down, darker(stem, 0.2))
        for k in np.linspace(-0.7, 0.7, 11):
            pen.line(np.array([(k * wide, -0.02), (k * 0.25, 0.08)]) * size + down, 0.015, darker(stem, 0.4))
        t = np.linspace(math.pi, 2 * math.pi, 24)
        dome = np.stack([0.86 * wide * np.cos(t), 0.88 * tall * np.abs(np.sin(t)) ** 0.8 * -1 + 0.02], axis=1)
        roof = np.concatenate([dome, [(0.5 * wide, 0.06), (0.0, -0.02), (-0.5 * wide, 0.06)]]) * size + down
        with pen.inside(roof):
            pen.fill(roof, cap)
            for _ in range(int(rng.integers(9, 16)) if fly else 0):
                spot = rng.uniform((-0.8, -0.85), (0.8, 0.0)) * size + down
                pen.fill(oval(spot[0], spot[1], rng.uniform(0.05, 0.13) * size, 0.08 * size), WHITE)
            pen.fill(oval(-0.3 * size + x, -0.6 * size + down[1], 0.2 * size, 0.08 * size, -30), WHITE, 70)


def sunflower(pen: Pen, rng: Rng) -> None:
    """Draws a sunflower head, often with its stem and leaves."""
    yellow, heart = near(rng, 46, 0.9, 0.97, 6), near(rng, 24, 0.7, 0.32)
    size, cy = 0.95, 0.0
    if rng.random() < 0.6:
        size, cy = 0.62, -0.38
        green = near(rng, 105, 0.6, 0.5)
        pen.line(smooth([(0, cy), (0.04, 0.4), (-0.02, 1.0)], closed=False), 0.1, green)
        for side in (-1, 1):
            blade = np.array([(0, 0), (0.25, -0.22), (0.6, -0.12), (0.3, 0.1)]) * (side, 1)
            pen.fill(moved(smooth(blade), 0.02, rng.uniform(0.4, 0.7)), green)
    petals = int(rng.integers(14, 22))
    for ring, shade in ((1.0, 0.22), (0.88, 0.0)):
        for k in range(petals):
            angle = 360 / petals * (k + (0.5 if ring < 1 else 0)) + rng.uniform(-4, 4)
            petal = smooth([(0.3, 0), (0.55, -0.15), (1.0, 0), (0.55, 0.15)])
            pen.fill(
                moved(turned(petal * size * ring, angle), 0, cy), darker(mix(yellow, (240, 140, 20), shade), shade / 2)
            )
    pen.dot(0, cy, size * 0.45, darker(heart, 0.3))
    pen.dot(0, cy, size * 0.4, heart)
    for k in range(70):
        radius, angle = 0.046 * size * math.sqrt(k), k * 137.5
        x, y = turned([(radius, 0)], angle)[0]
        pen.dot(x, y + cy, 0.018 * size, lighter(heart, 0.35 if k < 30 else 0.15))


def cactus(pen: Pen, rng: Rng) -> None:
    """Draws a cactus with arms, in the ground or in a pot."""
    green = near(rng, 130, 0.6, 0.52, 18)
    potted = rng.random() < 0.5
    foot = 0.5 if potted else 1.0
    limbs: list[tuple[list[tuple[float, float]], float]] = [([(0, foot), (0, -0.72)], 0.42)]
    for side in (-1, 1):
        if rng.random() < 0.85:
            y, reach = rng.uniform(-0.1, 0.35), rng.uniform(0.45, 0.65)
            top = y - rng.uniform(0.3, 0.6)
            limbs.append(([(0, y), (side * reach * 0.8, y), (side * reach, y - 0.12), (side * reach, top)], 0.24))
    for path, width in reversed(limbs):
        pen.line(path, width, green)
        pen.line(path, width * 0.55, lighter(green, 0.1))
        pen.line(path, width * 0.12, darker(green, 0.3))
        points = np.array(path)
        for share in np.linspace(0.05, 0.95, 9):
            spot = points[-2] + (points[-1] - points[-2]) * share
            for side in (-1, 1):
                base = moved(spot, side * width * 0.36, 0)
                pen.line([tuple(base), tuple(moved(base, side * 0.07, -0.05))], 0.015, (245, 240, 215))
    if rng.random() < 0.45:
        for angle in range(0, 360, 60):
            pen.fill(moved(turned(oval(0.1, 0, 0.1, 0.05, corners=14), angle), 0, -0.93), near(rng, 330, 0.6, 0.95))
        pen.dot(0, -0.93, 0.05, (250, 210, 70))
    if potted:
        clay = near(rng, 16, 0.65, 0.75, 10)
        pen.fill([(-0.42, 0.5), (0.42, 0.5), (0.32, 1.0), (-0.32, 1.0)], clay)
        pen.fill(box(-0.48, 0.42, 0.48, 0.58, 0.04), lighter(clay, 0.12))


def goldfish(pen: Pen, rng: Rng) -> None:
    """Draws a goldfish from the side."""
    gold = near(rng, 20, 0.9, 0.97, 10)
    fin = lighter(gold, 0.3)
    wave = rng.uniform(-0.1, 0.1)
    tail = smooth([(-0.35, 0), (-0.7, -0.4), (-1.0, -0.52 + wave), (-0.82, -0.05), (-1.0, 0.5 + wave), (-0.7, 0.36)])
    pen.fill(tail, fin)
    for k in np.linspace(-0.42, 0.42, 7):
        pen.line([(-0.45, k * 0.15), (-0.92, k + wave)], 0.018, darker(gold, 0.15))
    pen.fill(smooth([(-0.3, -0.3), (-0.15, -0.68), (0.25, -0.6), (0.35, -0.3)]), fin)
    pen.fill(smooth([(-0.1, 0.3), (-0.25, 0.62), (0.05, 0.5), (0.15, 0.32)]), fin)
    body = smooth(
        [(-0.5, 0), (-0.25, -0.3), (0.15, -0.44), (0.6, -0.33), (0.88, 0.0), (0.6, 0.33), (0.15, 0.42), (-0.25, 0.28)]
    )
    with pen.inside(body):
        pen.fill(body, gold)
        pen.fill(oval(0.2, 0.38, 0.75, 0.28), lighter(gold, 0.55), 170)
        for row, y in enumerate(np.arange(-0.4, 0.4, 0.1)):
            for x in np.arange(-0.45, 0.42, 0.13) + 0.065 * (row % 2):
                pen.line(oval(x, y, 0.07, 0.06, corners=16)[1:8] * (1, 1), 0.014, darker(gold, 0.3), 150)
        if rng.random() < 0.35:
            for _ in range(3):
                x, y = rng.uniform(-0.4, 0.4, 2)
                pen.fill(oval(x, y, 0.2, 0.13, rng.uniform(0, 90)), WHITE, 200)
    pen.line(oval(0.5, 0, 0.1, 0.28)[12:37], 0.025, darker(gold, 0.3))
    pen.fill(smooth([(0.3, 0.08), (0.05, 0.3), (0.02, 0.1)]), fin)
    eye(pen, 0.66, -0.1, 0.09, 0.4)
    pen.line([(0.86, 0.06), (0.78, 0.1)], 0.025, darker(gold, 0.5))


def butterfly(pen: Pen, rng: Rng) -> None:
    """Draws a butterfly with open wings and its own pattern."""
    wing, spot, rim = vivid(rng), vivid(rng), INK if rng.random() < 0.7 else vivid(rng)
    fore = np.array([(0.05, -0.1), (0.35, -0.62), (0.8, -0.86), (0.97, -0.6), (0.8, -0.15), (0.4, 0.06)])
    hind = np.array([(0.05, 0.02), (0.45, 0.02), (0.78, 0.22), (0.72, 0.62), (0.42, 0.82), (0.15, 0.45)])
    fore, hind = fore * rng.uniform(0.92, 1.03, (6, 1)), hind * rng.uniform(0.9, 1.08, (6, 1))
    spots = rng.uniform(0, 1, (4, 2))
    for side in (-1, 1):
        for shape, centre, shade in ((hind, (0.45, 0.38), 0.15), (fore, (0.55, -0.42), 0.0)):
            outer = smooth(shape) * (side, 1)
            middle = np.array(centre) * (side, 1)
            pen.fill(outer, rim)
            pen.fill((outer - middle) * 0.84 + middle, darker(wing, shade))
            pen.fill((outer - middle) * 0.45 + middle, mix(wing, spot, 0.7))
            for share, ring in spots:
                at = (outer[int(share * (len(outer) - 1))] - middle) * 0.72 + middle
                pen.dot(at[0], at[1], 0.04 + 0.04 * ring, lighter(spot, 0.4))
            for tip in outer[::9]:
                pen.line([(side * 0.05, 0.0), tuple(tip)], 0.012, rim, 160)
    pen.fill(oval(0, 0.05, 0.065, 0.48), (45, 32, 28))
    pen.dot(0, -0.46, 0.085, (45, 32, 28))
    for side in (-1, 1):
        pen.line(smooth([(0, -0.5), (side * 0.1, -0.75), (side * 0.25, -0.92)], closed=False), 0.025, (45, 32, 28))
        pen.dot(side * 0.25, -0.92, 0.035, (45, 32, 28))


def ladybug(pen: Pen, rng: Rng) -> None:
    """Draws a ladybug from above."""
    red = near(rng, 5, 0.9, 0.85, 10)
    for y in (-0.3, 0.1, 0.5):
        for side in (-1, 1):
            pen.line([(side * 0.5, y), (side * 0.88, y + 0.02), (side * 1.0, y + 0.2)], 0.06, INK)
    for side in (-1, 1):
        pen.line(smooth([(side * 0.15, -0.8), (side * 0.25, -0.95), (side * 0.42, -1.0)], closed=False), 0.04, INK)
    pen.fill(oval(0, -0.62, 0.42, 0.34), INK)
    for side in (-1, 1):
        pen.dot(side * 0.24, -0.72, 0.1, WHITE)
    body = oval(0, 0.12, 0.8, rng.uniform(0.78, 0.88))
    with pen.inside(body):
        pen.fill(body, red)
        pen.fill(oval(0, -0.72, 0.5, 0.3), INK)
        pen.line([(0, -0.7), (0, 1.0)], 0.05, INK)
        size = rng.uniform(0.11, 0.17)
        for x, y in ((0.35, -0.3), (0.55, 0.15), (0.25, 0.25), (0.4, 0.65))[: int(rng.integers(3, 5))]:
            for side in (-1, 1):
                pen.fill(oval(side * x, y, size, size * 1.1), INK)
        pen.fill(oval(-0.4, -0.32, 0.18, 0.1, -40), WHITE, 120)


def owl(pen: Pen, rng: Rng) -> None:
    """Draws an owl seen from the front."""
    brown = near(rng, rng.choice([28, 22, 35, 220]), rng.uniform(0.25, 0.6), rng.uniform(0.4, 0.7), 6)
    belly = lighter(brown, 0.5)
    for side in (-1, 1):
        pen.fill([(side * 0.2, -0.75), (side * 0.58, -1.0), (side * 0.6, -0.5)], darker(brown, 0.2))
    body = smooth(mirrored([(0, -0.82), (0.45, -0.8), (0.64, -0.4), (0.68, 0.2), (0.5, 0.8), (0.2, 0.92)]))
    pen.fill(body, brown)
    stomach = oval(0, 0.38, 0.42, 0.52)
    with pen.inside(stomach):
        pen.fill(stomach, belly)
        for row, y in enumerate(np.arange(0, 0.95, 0.14)):
            for x in np.arange(-0.42, 0.45, 0.16) + 0.08 * (row % 2):
                pen.line([(x - 0.05, y), (x, y + 0.07), (x + 0.05, y)], 0.025, brown)
    for side in (-1, 1):
        pen.fill(
            smooth(np.array([(0.5, -0.25), (0.78, 0.1), (0.7, 0.6), (0.5, 0.75), (0.45, 0.2)]) * (side, 1)),
            darker(brown, 0.3),
        )
        for x in (0.12, 0.22, 0.32):
            pen.line([(side * x, 0.85), (side * x, 0.97)], 0.06, (228, 160, 60))
        pen.dot(side * 0.27, -0.42, 0.31, lighter(brown, 0.65))
        iris = near(rng, 45, 0.85, 0.97)
        pen.dot(side * 0.27, -0.42, 0.2, iris)
        pen.dot(side * 0.27, -0.42, 0.12, INK)
        pen.dot(side * 0.27 + 0.05, -0.47, 0.04, WHITE)
    pen.fill([(-0.09, -0.3), (0.09, -0.3), (0, -0.05)], (232, 160, 50))


def penguin(pen: Pen, rng: Rng) -> None:
    """Draws a standing penguin."""
    coat = near(rng, 225, 0.3, 0.2, 20, 0.07)
    for side in (-1, 1):
        pen.fill(oval(side * 0.24, 0.92, 0.22, 0.09), (240, 150, 40))
        lift = rng.uniform(0.0, 0.35)
        wing = smooth(np.array([(0.42, -0.3), (0.66 + lift * 0.5, 0.1 - lift), (0.7 + lift, 0.42 - lift), (0.45, 0.3)]))
        pen.fill(wing * (side, 1), coat)
    body = smooth(mirrored([(0, -0.95), (0.26, -0.88), (0.36, -0.6), (0.5, -0.2), (0.58, 0.4), (0.36, 0.88)]))
    with pen.inside(body):
        pen.fill(body, coat)
        pen.fill(oval(0, 0.35, 0.42, 0.62), WHITE)
        if rng.random() < 0.5:
            pen.fill(oval(0, -0.25, 0.3, 0.16), near(rng, 45, 0.6, 0.98), 170)
    for side in (-1, 1):
        pen.fill(oval(side * 0.15, -0.62, 0.14, 0.19), WHITE)
        pen.dot(side * 0.13, -0.64, 0.055, INK)
        pen.dot(side * 0.13 + 0.02, -0.66, 0.02, WHITE)
    pen.fill([(-0.12, -0.52), (0.12, -0.52), (0, -0.34)], (240, 150, 40))


def turtle(pen: Pen, rng: Rng) -> None:
    """Draws a turtle from above with a tiled shell."""
    skin, shell = near(rng, 110, 0.45, 0.6, 25), near(rng, rng.choice([95, 40, 150]), 0.55, 0.45, 12)
    for x, y, angle in ((0.5, -0.5, -40), (0.5, 0.5, 40), (-0.5, -0.48, 215), (-0.5, 0.48, 145)):
        pen.fill(moved(turned(oval(0.18, 0, 0.32, 0.14), angle), x * 0.9, y * 0.85), skin)
    pen.fill([(-0.7, -0.07), (-1.0, 0.0), (-0.7, 0.07)], skin)
    pen.fill(oval(0.82, 0, 0.24, 0.18), skin)
    for side in (-1, 1):
        pen.dot(0.9, side * 0.1, 0.035, INK)
    body = oval(0, 0, 0.74, 0.6)
    pen.fill(body, darker(shell, 0.35))
    with pen.inside(body * 0.92):
        pen.fill(body, shell)
        for cx in (-0.36, 0.0, 0.36):
            hexagon = oval(cx, 0, 0.2, 0.24, 0, 6)
            pen.fill(hexagon, lighter(shell, 0.22))
            pen.outline(hexagon, 0.035, darker(shell, 0.45))
            for side in (-1, 1):
                pen.line([(cx, side * 0.22), (cx * 1.3, side * 0.6)], 0.035, darker(shell, 0.45))
        pen.line([(0.5, 0), (0.75, 0)], 0.035, darker(shell, 0.45))
        pen.line([(-0.5, 0), (-0.75, 0)], 0.035, darker(shell, 0.45))


def crab(pen: Pen, rng: Rng) -> None:
    """Draws a crab with raised claws."""
    shell = near(rng, 10, 0.82, 0.85, 12)
    for side in (-1, 1):
        for k, y in enumerate((0.12, 0.3, 0.46)):
            reach = 0.92 - 0.12 * k
            pen.line(
                [(side * 0.4, y), (side * reach, y + 0.02), (side * (reach + 0.06), y + 0.3)], 0.075, darker(shell, 0.2)
            )
        pen.line([(side * 0.45, -0.05), (side * 0.78, -0.12), (side * 0.74, -0.4)], 0.13, darker(shell, 0.1))
        claw = moved(turned(oval(0, 0, 0.26, 0.32), side * rng.uniform(-5, 20)), side * 0.72, -0.6)
        pen.fill(claw, shell)
        pen.line([(side * 0.4, -0.2), (side * 0.3, -0.42)], 0.05, shell)
        eye(pen, side * 0.22, -0.42, 0.095)
    body = smooth(mirrored([(0, -0.3), (0.35, -0.32), (0.64, -0.05), (0.5, 0.4), (0.2, 0.58)]))
    pen.fill(body, shell)
    for _ in range(8):
        x, y = rng.uniform((-0.4, -0.15), (0.4, 0.1))
        pen.dot(x, y, 0.035, lighter(shell, 0.35))
    pen.line(smooth([(-0.2, 0.26), (0, 0.36), (0.2, 0.26)], closed=False), 0.035, darker(shell, 0.55))


DRAWN = {
    "mushroom": mushroom,
    "sunflower": sunflower,
    "cactus": cactus,
    "goldfish": goldfish,
    "butterfly": butterfly,
    "ladybug": ladybug,
    "owl": owl,
    "penguin": penguin,
    "turtle": turtle,
    "crab": crab,
}
