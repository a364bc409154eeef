"""Drawings of a study: every run of each arm, the means and their intervals; over log(x) where a claim is about growth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tagmill.pages.drawing import Draw, Palette
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.studies.plan.study_plan import Claim
from tagmill.studies.runs.study_result import StudyResult
from tagmill.studies.verdict.judge import ArmMean, StudyVerdict
from tagmill.studies.verdict.measured import measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAME_CELLS, _TICK_CELLS, _LABEL_CELLS = 26, 12, 60
_MOST_TICKS = 7  # that have the name of their arm
_WIDTH = 7.0  # inches


@dataclass(frozen=True)
class StudyDrawing:
    """A drawing that can be made as SVG and as PNG."""

    title: str  # accessible name
    caption: str
    size: tuple[float, float]
    draw: Draw


class _Row(NamedTuple):
    """An arm with its runs, in percent."""

    arm: str
    runs: dict[int, float]
    mean: ArmMean


def study_drawings(result: StudyResult, verdict: StudyVerdict) -> list[StudyDrawing]:
    """Returns the drawings of each measure that a claim is about and a run has: one of the arms, and one for each claim of kind
    `rises`."""
    found: list[StudyDrawing] = []
    for measure in dict.fromkeys(each.claim.measure for each in verdict.claims):
        rows = _rows(result, verdict, measure)
        if not rows:
            continue
        name = safe_text(measure, _TICK_CELLS * 2)
        label = safe_text(f"{result.measures.get(measure, measure)}", _LABEL_CELLS)
        title = f"{name} of every run, drawing {len(found) + 1}"
        caption = f"{name}: small circles are runs, lines join runs of one seed, squares are means with their 95 % t intervals"
        found.append(StudyDrawing(title, caption, _arms_size(rows), _arms(rows, label)))
        for claim in (each.claim for each in verdict.claims if each.claim.kind == "rises"):
            line = [(x, row) for arm, x in zip(claim.arms, claim.x, strict=True) for row in rows if row.arm == arm]
            if claim.measure == measure and len({x for x, _ in line}) > 1:
                x_name = safe_text(claim.x_name, _LABEL_CELLS)
                title = f"{name} over the logarithm of {x_name}, drawing {len(found) + 1}"
                caption = (
                    f"{name} over {x_name}, logarithmic: runs, means with their 95 % t intervals, and the fitted line"
                )
                found.append(StudyDrawing(title, caption, (_WIDTH, 3.4), _line(claim, line, label)))
    return found


def _rows(result: StudyResult, verdict: StudyVerdict, measure: str) -> list[_Row]:
    values = measured(result.results, measure)
    return [
        _Row(each.arm, {seed: 100 * value for seed, value in sorted(values[each.arm].items())}, each)
        for each in verdict.means
        if each.measure == measure
    ]


def _arms_size(rows: Sequence[_Row]) -> tuple[float, float]:
    return _WIDTH, 0.7 + 0.42 * len(rows)


def _arms(rows: Sequence[_Row], label: str) -> Draw:
    height = _arms_size(rows)[1]

    def draw(figure: "Figure", colours: Palette) -> None:
        axes = figure.add_axes((0.3, 0.5 / height, 0.66, 1 - 0.6 / height))
        for seed in sorted({seed for row in rows for seed in row.runs}):
            places = [place for place, row in enumerate(rows) if seed in row.runs]
            runs = [rows[place].runs[seed] for place in places]
            axes.plot(runs, places, color=colours.line, linewidth=0.8)
        for place, row in enumerate(rows):
            _runs(axes, list(row.runs.values()), [place] * len(row.runs), colours)
            _mean(axes, row.mean, place, colours, across=True)
        axes.set_yticks(range(len(rows)), [safe_text(row.arm, _NAME_CELLS) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(f"{label}, %")
        axes.grid(axis="x", color=colours.line, linewidth=0.6)
        axes.set_axisbelow(True)

    return draw


def _line(claim: Claim, points: Sequence[tuple[float, _Row]], label: str) -> Draw:
    def draw(figure: "Figure", colours: Palette) -> None:
        axes = figure.add_axes((0.1, 0.24, 0.86, 0.72))
        for x, row in points:
            _runs(axes, [math.log2(x)] * len(row.runs), list(row.runs.values()), colours)
            _mean(axes, row.mean, math.log2(x), colours, across=False)
        fitted = _fitted(claim, points)
        if fitted is not None:
            axes.plot(*fitted, color=colours.first, linewidth=1.2, linestyle="--")
        shown = sorted(dict(points).items())
        named = len(shown) <= _MOST_TICKS
        ticks = [f"{x:,.6g}\n{safe_text(row.arm, _TICK_CELLS)}" if named else f"{x:,.6g}" for x, row in shown]
        axes.set_xticks([math.log2(x) for x, _ in shown], ticks)
        axes.margins(x=0.08)
        axes.set_xlabel(f"{safe_text(claim.x_name, _LABEL_CELLS)}, logarithmic")
        axes.set_ylabel(f"{label}, %")
        axes.grid(axis="y", color=colours.line, linewidth=0.6)
        axes.set_axisbelow(True)

    return draw


def _fitted(claim: Claim, points: Sequence[tuple[float, _Row]]) -> tuple[list[float], list[float]] | None:
    """The line of the seeds that have all arms: the mean of the lines of each seed."""
    complete = set(points[0][1].runs).intersection(*(row.runs for _, row in points[1:]))
    if len(points) < len(claim.arms) or not complete:
        return None
    places = np.log2([x for x, _ in points])
    means = [np.mean([row.runs[seed] for seed in sorted(complete)]) for _, row in points]
    slope, start = np.polyfit(places, means, 1)
    ends = [float(places.min()), float(places.max())]
    return ends, [float(start + slope * end) for end in ends]


def _runs(axes: "Axes", x: Sequence[float], y: Sequence[float], colours: Palette) -> None:
    axes.plot(x, y, linestyle="none", marker="o", markersize=4, color=colours.second)


def _mean(axes: "Axes", mean: ArmMean, place: float, colours: Palette, across: bool) -> None:
    if mean.interval is not None:
        ends, at = [100 * mean.interval.low, 100 * mean.interval.high], [place, place]
        axes.plot(*((ends, at) if across else (at, ends)), color=colours.first, linewidth=2)
    value = 100 * mean.value
    axes.plot(*(([value], [place]) if across else ([place], [value])), marker="s", markersize=5, color=colours.first)
