"""Drawings of the report: intervals of accuracies, accuracies of classes, and a matrix of confusions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from tagmill.pages.drawing import Palette, rectangle, svg_drawing
from tagmill.transfer.outcome.intervals import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Bar(NamedTuple):
    """A share with its interval; `second` in the other colour."""

    name: str
    share: Estimate
    second: bool = False


def interval_drawing(title: str, bars: Sequence[Bar]) -> str:
    """Returns a chart with one line for each share: a point, and its interval."""
    height = 0.6 + 0.28 * len(bars)

    def draw(figure: "Figure", colours: Palette) -> None:
        axes = figure.add_axes((0.36, 0.5 / height, 0.6, 1 - 0.6 / height))
        for row, bar in enumerate(bars):
            colour = colours.second if bar.second else colours.first
            axes.plot([100 * bar.share.low, 100 * bar.share.high], [row, row], color=colour, linewidth=2)
            axes.plot([100 * bar.share.value], [row], marker="s" if bar.second else "o", color=colour, markersize=6)
        axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlabel("top-1 accuracy, %")
        axes.grid(axis="x", color=colours.line, linewidth=0.6)
        axes.set_axisbelow(True)

    return svg_drawing(title, (7, height), draw)


def sorted_drawing(title: str, shares: Sequence[float]) -> str:
    """Returns a chart of the accuracies of classes, best first, as one falling line."""
    values = np.sort(np.asarray(shares, np.float64))[::-1] * 100
    if len(values) > 400:
        values = values[np.linspace(0, len(values) - 1, 400).round().astype(int)]

    def draw(figure: "Figure", colours: Palette) -> None:
        axes = figure.add_axes((0.09, 0.2, 0.88, 0.75))
        axes.step(np.linspace(1, len(shares), len(values)), values, where="mid", color=colours.first, linewidth=2)
        axes.set_ylim(-2, 102)
        axes.set_xlabel("classes, best first")
        axes.set_ylabel("top-1 accuracy, %")
        axes.grid(axis="y", color=colours.line, linewidth=0.6)

    return svg_drawing(title, (7, 2.6), draw)


def matrix_drawing(title: str, shares: npt.NDArray[np.float64]) -> str:
    """Returns a matrix of shares, rows true and columns predicted classes, as squares whose area is the share."""
    size = 2.2 + 0.11 * len(shares)

    def draw(figure: "Figure", colours: Palette) -> None:
        axes = figure.add_axes((0.12, 0.12, 0.86, 0.86))
        rows, columns = np.nonzero(shares > 0.005)
        right = rows == columns
        for some, colour in ((right, colours.first), (~right, colours.second)):
            for row, column in zip(rows[some].tolist(), columns[some].tolist(), strict=True):
                half = 0.48 * float(shares[row, column]) ** 0.5
                axes.add_patch(rectangle((column - half, row - half), 2 * half, 2 * half, colour))
        axes.set_xlim(-0.5, len(shares) - 0.5)
        axes.set_ylim(len(shares) - 0.5, -0.5)
        axes.set_xlabel("predicted class, by number")
        axes.set_ylabel("true class, by number")

    return svg_drawing(title, (size, size), draw)
