"""Draws buildings and objects made by hand."""

from __future__ import annotations

import math

import numpy as np

from tagmill.demo.pen import Pen, box, darker, lighter, mirrored, moved, near, oval, smooth, turned, vivid

Rng = np.random.Generator
WHITE, INK, GLASS, STEEL = (250, 250, 248), (28, 26, 32), (178, 214, 232), (170, 174, 182)


def teapot(pen: Pen, rng: Rng) -> None:
    """Draws a teapot with its own glaze."""
    glaze, trim = vivid(rng), vivid(rng)
    if rng.random() < 0.3:
        glaze = lighter(glaze, 0.85)
    pen.line(smooth([(-0.45, -0.3), (-0.88, -0.38), (-0.98, 0.05), (-0.75, 0.38), (-0.45, 0.45)], False), 0.11, glaze)
    pen.fill(smooth([(0.4, 0.1), (0.7, -0.1), (0.82, -0.48), (1.0, -0.5), (0.92, 0.05), (0.55, 0.52)]), glaze)
    body = smooth(mirrored([(0.0, -0.5), (0.34, -0.46), (0.66, -0.02), (0.6, 0.46), (0.34, 0.76)]))
    with pen.inside(body):
        pen.fill(body, glaze)
        style = rng.random()
        if style < 0.35:
            for _ in range(14):
                x, y = rng.uniform(-0.6, 0.7, 2)
                pen.dot(x, y, 0.08, trim)
        elif style < 0.65:
            for y in (-0.15, 0.1, 0.35):
                pen.line([(-0.8, y), (0.8, y)], 0.07, trim)
        else:
            for k in range(6):
                pen.fill(moved(turned(oval(0.16, 0, 0.16, 0.09), k * 60), 0, 0.15), trim)
            pen.dot(0, 0.15, 0.08, lighter(trim, 0.6))
        pen.fill(oval(-0.32, -0.1, 0.09, 0.2, 20), WHITE, 130)
    pen.fill(box(-0.36, 0.7, 0.36, 0.82, 0.05), darker(glaze, 0.25))
    pen.fill(smooth(mirrored([(0.0, -0.68), (0.26, -0.6), (0.38, -0.46)])), darker(glaze, 0.12))
    pen.dot(0, -0.74, 0.09, trim)


def umbrella(pen: Pen, rng: Rng) -> None:
    """Draws an open umbrella with coloured panels."""
    one = vivid(rng)
    two = one if rng.random() < 0.4 else vivid(rng)
    pen.line([(0, -0.85), (0, 0.78)], 0.05, (92, 66, 48))
    pen.line(smooth([(0, 0.72), (0.02, 0.92), (0.15, 0.98), (0.26, 0.82)], closed=False), 0.07, (92, 66, 48))
    t = np.linspace(math.pi, 2 * math.pi, 30)
    dome = np.stack([np.cos(t), 0.88 * np.sin(t)], axis=1)
    edge = [(x, 0.02 - 0.1 * abs(math.sin((x + 1) * math.pi * 3))) for x in np.linspace(1, -1, 37)]
    canopy = np.concatenate([dome, edge])
    with pen.inside(canopy):
        pen.fill(canopy, one)
        for k, (left, right) in enumerate(((-1.0, -0.667), (-0.333, 0.0), (0.333, 0.667))):
            panel = [(0.0, -0.9), (left, 0.1), (right, 0.1)]
            bulge = smooth([panel[0], (left * 0.75, -0.35), panel[1], panel[2], (right * 0.75, -0.35)], steps=4)
            pen.fill(bulge, darker(two, 0.08 * k + (0.15 if one == two else 0)))
        pen.fill(oval(-0.45, -0.5, 0.2, 0.09, -42), WHITE, 80)
    pen.line([(0, -0.85), (0, -1.0)], 0.05, (92, 66, 48))


def guitar(pen: Pen, rng: Rng) -> None:
    """Draws an acoustic or an electric guitar, upright."""
    electric = rng.random() < 0.4
    wood = vivid(rng) if electric else near(rng, 28, rng.uniform(0.5, 0.85), rng.uniform(0.5, 0.85))
    neck = near(rng, 25, 0.55, 0.32)
    pen.fill(box(-0.06, -0.85, 0.06, 0.2), neck)
    pen.fill([(-0.1, -0.8), (0.1, -0.8), (0.12, -1.0), (-0.12, -1.0)], darker(neck, 0.3))
    for y in (-0.97, -0.91, -0.85):
        for side in (-1, 1):
            pen.dot(side * 0.15, y, 0.03, STEEL)
    if electric:
        body = smooth(
            [
                (0.1, -0.05),
                (0.34, -0.2),
                (0.42, 0.1),
                (0.36, 0.35),
                (0.5, 0.7),
                (0.2, 0.98),
                (-0.25, 0.98),
                (-0.5, 0.65),
                (-0.34, 0.35),
                (-0.46, 0.05),
                (-0.36, -0.22),
                (-0.12, 0.05),
            ]
        )
        pen.fill(body, wood)
        guard = smooth([(0.1, 0.1), (0.3, 0.1), (0.25, 0.5), (0.35, 0.75), (0.05, 0.7)])
        pen.fill(guard, WHITE)
        for y in (0.3, 0.5, 0.68):
            pen.fill(box(-0.13, y, 0.13, y + 0.07, 0.02), INK)
    else:
        half = [(0.08, -0.06), (0.34, -0.02), (0.37, 0.2), (0.29, 0.36), (0.46, 0.6), (0.4, 0.9), (0.12, 0.99)]
        body = smooth(mirrored(half))
        pen.fill(body, darker(wood, 0.5))
        pen.fill(moved((body - (0, 0.48)) * 0.93, 0, 0.48), wood)
        pen.dot(0, 0.32, 0.18, darker(wood, 0.4))
        pen.dot(0, 0.32, 0.145, INK)
    pen.fill(box(-0.17, 0.74, 0.17, 0.81, 0.02), darker(neck, 0.2))
    pen.fill(box(-0.06, -0.8, 0.06, 0.18), neck)
    for y in np.linspace(-0.72, 0.1, 9):
        pen.line([(-0.06, y), (0.06, y)], 0.015, STEEL)
    for x in (-0.04, -0.013, 0.013, 0.04):
        pen.line([(x, -0.9), (x, 0.78)], 0.009, (235, 232, 220), 220)


def clock(pen: Pen, rng: Rng) -> None:
    """Draws a wall clock or an alarm clock at some time of day."""
    rim = vivid(rng) if rng.random() < 0.7 else near(rng, 30, 0.5, 0.4)
    face = near(rng, 45, 0.08, 0.97) if rng.random() < 0.8 else near(rng, 220, 0.3, 0.25)
    hand = INK if sum(face) > 380 else WHITE
    size = 0.95
    if rng.random() < 0.4:
        size = 0.74
        for side in (-1, 1):
            pen.line([(side * 0.3, 0.5), (side * 0.55, 0.95)], 0.1, darker(rim, 0.3))
            pen.fill(turned(oval(0, -0.86, 0.27, 0.18), side * 36), lighter(rim, 0.15))
        pen.line([(0, -0.7), (0, -0.95)], 0.06, STEEL)
    square = size == 0.95 and rng.random() < 0.25
    pen.fill(box(-size, -size, size, size, 0.2) if square else oval(0, 0, size, size, corners=72), rim)
    pen.dot(0, 0, size * 0.84, darker(face, 0.15))
    pen.dot(0, 0, size * 0.81, face)
    for k in range(60):
        big = k % 5 == 0
        mark = turned([(size * (0.66 if big else 0.74), 0), (size * 0.77, 0)], k * 6)
        pen.line(mark, 0.045 if big else 0.012, hand)
    hour, minute = rng.uniform(0, 360), rng.uniform(0, 360)
    pen.line(turned([(-0.08, 0), (size * 0.42, 0)], hour), 0.075, hand)
    pen.line(turned([(-0.1, 0), (size * 0.65, 0)], minute), 0.045, hand)
    if rng.random() < 0.5:
        pen.line(turned([(-0.15, 0), (size * 0.7, 0)], rng.uniform(0, 360)), 0.018, (210, 40, 40))
    pen.dot(0, 0, 0.06, (210, 40, 40))


def trafficlight(pen: Pen, rng: Rng) -> None:
    """Draws a traffic light with one lamp lit."""
    case = near(rng, rng.choice([210, 45, 120]), rng.uniform(0.1, 0.75), rng.uniform(0.2, 0.5))
    if rng.random() < 0.6:
        pen.fill(box(-0.07, 0.6, 0.07, 1.0), (88, 90, 96))
    pen.fill(box(-0.4, -1.0, 0.4, 0.72, 0.12), darker(case, 0.3))
    pen.fill(box(-0.34, -0.95, 0.34, 0.67, 0.1), case)
    lit = int(rng.integers(0, 3))
    for k, hue in enumerate((2, 46, 130)):
        y = -0.68 + 0.54 * k
        pen.dot(0, y, 0.25, INK)
        glow = near(rng, hue, 0.85, 1.0 if k == lit else 0.32, 4, 0.03)
        pen.dot(0, y, 0.215, glow)
        if k == lit:
            pen.dot(-0.05, y - 0.06, 0.1, lighter(glow, 0.6), 190)
        visor = [(-0.27, y), (-0.27, y - 0.12), (-0.15, y - 0.26), (0.15, y - 0.26), (0.27, y - 0.12), (0.27, y)]
        pen.line(smooth(visor, closed=False), 0.05, darker(case, 0.55))


def snowman(pen: Pen, rng: Rng) -> None:
    """Draws a snowman with hat, scarf and carrot."""
    snow = near(rng, 210, 0.05, 0.97, 15, 0.03)
    stick = (94, 64, 42)
    for side in (-1, 1):
        hand = (side * rng.uniform(0.75, 0.98), rng.uniform(-0.45, 0.0))
        pen.line([(side * 0.3, 0.05), hand], 0.05, stick)
        for angle in (-35, 30):
            finger = turned([(side * 0.14, 0)], angle)[0] + hand
            pen.line([hand, tuple(finger)], 0.035, stick)
    for y, radius in ((0.62, 0.42), (0.05, 0.33), (-0.42, 0.25)):
        pen.dot(0, y, radius, darker(snow, 0.12))
        pen.fill(oval(-0.02, y - 0.02, radius * 0.95, radius * 0.95), snow)
    for y in (-0.08, 0.06, 0.2, 0.5):
        pen.dot(0, y, 0.04, INK)
    for side in (-1, 1):
        pen.dot(side * 0.09, -0.48, 0.035, INK)
    pen.fill([(0.0, -0.44), (0.0, -0.36), (0.26, -0.37)], (238, 130, 40))
    for k in np.linspace(-0.12, 0.12, 5):
        pen.dot(k, -0.3 + 0.03 * math.cos(k * 14), 0.018, INK)
    scarf, hat = vivid(rng), vivid(rng) if rng.random() < 0.5 else INK
    pen.fill(box(-0.26, -0.26, 0.26, -0.14, 0.06), scarf)
    pen.fill([(0.08, -0.2), (0.24, -0.2), (0.28, 0.18), (0.12, 0.18)], darker(scarf, 0.12))
    if rng.random() < 0.6:
        pen.fill(box(-0.2, -1.0, 0.2, -0.6, 0.02), hat)
        pen.fill(box(-0.34, -0.66, 0.34, -0.58, 0.03), hat)
        pen.fill(box(-0.2, -0.74, 0.2, -0.66), scarf)
    else:
        pen.fill(smooth(mirrored([(0, -0.92), (0.2, -0.8), (0.26, -0.58)])), hat)
        pen.dot(0, -0.92, 0.09, WHITE)


def lighthouse(pen: Pen, rng: Rng) -> None:
    """Draws a banded lighthouse on its rock."""
    band, wall = near(rng, rng.choice([0, 0, 215, 20]), 0.8, 0.75), WHITE
    rock = near(rng, 30, 0.15, 0.45)
    pen.fill(smooth([(-0.75, 1.0), (-0.5, 0.78), (-0.1, 0.7), (0.35, 0.74), (0.7, 0.88), (0.85, 1.0)]), rock)
    for sign in (-1, 1) if rng.random() < 0.4 else ():
        pen.fill([(0, -0.68), (sign * 1.4, -0.95), (sign * 1.4, -0.5)], (255, 244, 170), 150)
    tower = np.array([(-0.2, -0.5), (0.2, -0.5), (0.34, 0.8), (-0.34, 0.8)])
    count = int(rng.integers(2, 4))
    with pen.inside(tower):
        pen.fill(tower, wall)
        edges = np.linspace(-0.5, 0.8, 2 * count + 2)
        slant = rng.choice([0.0, 0.0, 0.15])
        for k in range(0, 2 * count + 1, 2):
            pen.fill(
                [(-0.5, edges[k]), (0.5, edges[k] - slant), (0.5, edges[k + 1] - slant), (-0.5, edges[k + 1])], band
            )
        pen.fill(box(0.1, -1, 1, 1), darker(wall, 0.6), 45)
    pen.fill(box(-0.28, -0.56, 0.28, -0.48, 0.02), INK)
    pen.fill(box(-0.16, -0.8, 0.16, -0.56), (255, 236, 150))
    for x in (-0.16, 0.0, 0.16):
        pen.line([(x, -0.8), (x, -0.56)], 0.025, INK)
    pen.fill(smooth([(-0.22, -0.78), (0, -1.0), (0.22, -0.78)], steps=5), band)
    pen.fill(box(-0.07, 0.56, 0.07, 0.8, 0.06), (70, 52, 44))
    for y in (0.1, 0.36):
        pen.fill(box(-0.05, y - 0.05, 0.05, y + 0.05, 0.02), (60, 70, 90))


def windmill(pen: Pen, rng: Rng) -> None:
    """Draws an old windmill with four lattice sails."""
    wall = near(rng, rng.choice([30, 20, 40]), rng.uniform(0.1, 0.6), rng.uniform(0.6, 0.92))
    roof = near(rng, rng.choice([10, 210, 25]), 0.55, 0.45)
    tower = [(-0.26, -0.2), (0.26, -0.2), (0.4, 1.0), (-0.4, 1.0)]
    with pen.inside(tower):
        pen.fill(tower, wall)
        for row, y in enumerate(np.arange(-0.15, 1.0, 0.12)):
            pen.line([(-0.5, y), (0.5, y)], 0.012, darker(wall, 0.25))
            for x in np.arange(-0.5, 0.5, 0.2) + 0.1 * (row % 2):
                pen.line([(x, y), (x, y + 0.12)], 0.012, darker(wall, 0.25))
        pen.fill(box(0.14, -1, 1, 1), darker(wall, 0.6), 60)
    pen.fill(smooth([(-0.32, -0.17), (-0.2, -0.42), (0, -0.52), (0.2, -0.42), (0.32, -0.17)], steps=4), roof)
    pen.fill(box(-0.1, 0.68, 0.1, 1.0, 0.08), (86, 58, 40))
    pen.fill(box(-0.07, 0.2, 0.07, 0.36, 0.02), (60, 72, 92))
    start, sail = rng.uniform(0, 90), near(rng, 42, rng.uniform(0.05, 0.4), 0.95)
    for k in range(4):
        angle = start + 90 * k
        pen.fill(moved(turned(box(0.18, 0.02, 0.8, 0.2), angle), 0, -0.25), sail)
        for x in np.linspace(0.18, 0.8, 7):
            pen.line(moved(turned([(x, 0.02), (x, 0.2)], angle), 0, -0.25), 0.014, (110, 84, 62))
        pen.outline(moved(turned(box(0.18, 0.02, 0.8, 0.2), angle), 0, -0.25), 0.018, (110, 84, 62))
        pen.line(moved(turned([(0, 0), (0.82, 0)], angle), 0, -0.25), 0.045, (92, 64, 44))
    pen.dot(0, -0.25, 0.07, (70, 50, 38))


DRAWN = {
    "teapot": teapot,
    "umbrella": umbrella,
    "guitar": guitar,
    "clock": clock,
    "trafficlight": trafficlight,
    "snowman": snowman,
    "lighthouse": lighthouse,
    "windmill": windmill,
}
