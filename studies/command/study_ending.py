"""What `tagmill study` prints: a line for each run, the plan, and at the end the arms."""

from collections.abc import Sequence
from statistics import mean, stdev

from tagmill.shards.terminal.lines import Figure, columns, command_line, figure_lines, next_lines, warning_lines
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.studies.command.study_options import StudyOptions
from tagmill.studies.command.study_setup import StudySetup
from tagmill.studies.runs.run_result import RunResult
from tagmill.studies.runs.study_result import StudyResult
from tagmill.studies.verdict.judge import StudyVerdict
from tagmill.studies.verdict.sentences import verdict_lines

MOST_COLUMNS = 3  # measures in the table that is printed
SHOWN = ("probe_top1", "probe_mean_class", "head_top1", "head_mean_class")


def run_line(done: int, runs: int, result: RunResult, seconds_left: float) -> str:
    """Returns the line of a run that has just ended."""
    if result.failed:
        said = f"failed: {safe_text(result.failed, 100)}"
    else:
        said = ", ".join(f"{name} {result.measures[name]:.3f}" for name in SHOWN if name in result.measures)
    left = f"; about {_time(seconds_left)} left" if done < runs else ""
    return f"[{done}/{runs}] {result.arm}, seed {result.seed}: {said}; {_time(result.seconds)} of steps{left}"


def plan_lines(setup: StudySetup, options: StudyOptions) -> list[str]:
    """Returns what is printed of a plan."""
    images = sum(run.images for run in setup.runs)
    rows = [["arm", "view", "labels", "epoch", "images seen"]]
    seen = {run.arm: run.images for run in setup.runs}
    for arm in setup.arms:
        view = setup.views[arm.name]
        rows.append([arm.name, view.name, f"{view.labels:,}", f"{view.epoch:,}", f"{seen[arm.name]:,}"])
    figures = [
        Figure("study", setup.kind.name, f"{setup.kind.title}."),
        Figure("runs", f"{len(setup.runs):,}", f"{len(setup.arms)} arms with {setup.seeds} seeds each."),
        Figure("images", f"{images:,}", "Seen in training by all runs together."),
        Figure(
            "plan", safe_text(f"{options.output.rstrip('/')}/plan.json", 200), "Every run with its view and settings."
        ),
    ]
    return [
        *figure_lines(figures),
        *columns([[safe_text(cell, 40) for cell in row] for row in rows], (2, 3, 4)),
        *warning_lines([*(arm.note for arm in setup.arms if arm.note), *setup.notes]),
    ]


def ending_lines(found: StudyResult, verdict: StudyVerdict) -> list[str]:
    """Returns what is printed at the end of a study: means of the arms, verdicts, and where the page is."""
    names = [name for name in SHOWN if name in found.measures][:MOST_COLUMNS]
    rows = [["arm", "runs", *(f"{name}, %" for name in names)]]
    for arm in found.arms:
        runs = [each for each in found.results if each.arm == arm.name and not each.failed]
        rows.append([safe_text(arm.name, 40), f"{len(runs)}", *(_spread(runs, name) for name in names)])
    return [
        f"study {found.study}: {found.title}",
        *columns(rows, tuple(range(1, len(names) + 2))),
        "mean and standard deviation over seeds; failed runs are in no mean",
        *(safe_text(line, 400) for line in verdict_lines(found, verdict)),
        *warning_lines([safe_text(text, 300) for text in found.notes]),
        f"page: {safe_text(found.folder.rstrip('/'), 300)}/study.html; runs: results.json beside it",
        *next_lines(*_next(found)),
    ]


def _next(found: StudyResult) -> list[str]:
    """Returns commands that look at the first run that finished, as an example of all."""
    run = next((each.run for each in found.results if not each.failed), None)
    if run is None:
        return []
    folder = f"{found.folder.rstrip('/')}/runs/{run}/training"
    return [
        command_line("tagmill", "train", "export", folder, f"{found.study}-model"),
        command_line("tagmill", "transfer", "--help"),
    ]


def _spread(runs: Sequence[RunResult], name: str) -> str:
    values = [100 * each.measures[name] for each in runs if name in each.measures]
    if not values:
        return "-"
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole / 3600:.1f} h"
