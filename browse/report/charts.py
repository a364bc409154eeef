"""The geometry of charts, which the page draws as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 320  # of the drawing, in units of its view box
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 44
MAX_POINTS = 200  # of a line


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """One line of a chart; `points` as SVG writes them. `style` is a class of the page's style sheet."""

    name: str
    style: str
    points: str


@dataclass(frozen=True)
class Chart:
    """Lines between two axes."""

    title: str
    x_name: str
    y_name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM
    width: int = WIDTH
    height: int = HEIGHT


Points = Sequence[tuple[float, float]]


def log_log_chart(title: str, x_name: str, y_name: str, lines: Sequence[tuple[str, str, Points]]) -> Chart | None:
    """Returns a chart of (name, style, points) on logarithmic axes; points that are not positive are left out, and
    None is returned where none is left."""
    kept = [(name, style, [(x, y) for x, y in points if x > 0 and y > 0]) for name, style, points in lines]
    xs, ys = [x for _, _, some in kept for x, _ in some], [y for _, _, some in kept for _, y in some]
    if not xs:
        return None
    x_from, x_to = _decades(xs)
    y_from, y_to = _decades(ys)

    def across(x: float) -> float:
        return round(_LEFT + (math.log10(x) - x_from) / (x_to - x_from) * (WIDTH - _LEFT - _RIGHT), 1)

    def down(y: float) -> float:
        return round(HEIGHT - _BOTTOM - (math.log10(y) - y_from) / (y_to - y_from) * (HEIGHT - _TOP - _BOTTOM), 1)

    drawn = [
        Line(name, style, " ".join(f"{across(x)},{down(y)}" for x, y in thinned(some))) for name, style, some in kept
    ]
    x_ticks = tuple(Tick(across(10.0**power), short(10.0**power)) for power in range(x_from, x_to + 1))
    y_ticks = tuple(Tick(down(10.0**power), short(10.0**power)) for power in range(y_from, y_to + 1))
    return Chart(title, x_name, y_name, x_ticks, y_ticks, tuple(drawn))


def share_chart(title: str, x_name: str, y_name: str, shares: Sequence[float]) -> Chart | None:
    """Returns a chart of shares, 0 to 1, against 0, 1, 2, ...; None without any."""
    if not shares:
        return None
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(shares) - 1)
    points = [
        (round(_LEFT + x * step, 1), round(HEIGHT - _BOTTOM - y * (HEIGHT - _TOP - _BOTTOM), 1))
        for x, y in enumerate(shares)
    ]
    every = max(1, -(-len(shares) // 10))
    x_ticks = tuple(Tick(points[x][0], str(x)) for x in range(0, len(shares), every))
    y_ticks = tuple(
        Tick(round(HEIGHT - _BOTTOM - y / 4 * (HEIGHT - _TOP - _BOTTOM), 1), f"{y * 25} %") for y in range(5)
    )
    line = Line("predicted recall", "first", " ".join(f"{x},{y}" for x, y in points))
    return Chart(title, x_name, y_name, x_ticks, y_ticks, (line,))


def thinned(points: Points) -> Points:
    """Returns at most MAX_POINTS points, evenly spaced on a logarithmic axis; the first and the last are kept."""
    if len(points) <= MAX_POINTS:
        return points
    last = len(points) - 1
    places = sorted({round(last ** (step / (MAX_POINTS - 2))) for step in range(MAX_POINTS - 1)} | {0})
    return [points[place] for place in places]


def short(count: float) -> str:
    """Returns a round count in few characters: 1k, 10M; below one as a decimal."""
    for power, unit in ((9, "G"), (6, "M"), (3, "k")):
        if count >= 10**power:
            return f"{count / 10**power:g}{unit}"
    return f"{count:g}"


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)
