"""Metrics as lines for people."""

import textwrap
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from tagmill.shards.terminal.safe_text import ERROR_CELLS, safe_text

MINUTE, HOUR, DAY = 60, 3600, 86400
INDENT = " " * 11  # of the text after the first word of a line
LABEL_CELLS = 40


def say(console: Console, text: str) -> None:
    """Prints lines, in which no label or path moves the cursor. On a terminal those that are wider are continued between two
    words, below the first one; off a terminal a line is one line."""
    text = "\n".join(safe_text(line, ERROR_CELLS) for line in text.split("\n"))
    if console.is_terminal:
        fold = textwrap.TextWrapper(
            console.width,
            subsequent_indent=INDENT,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
        )
        text = "\n".join(fold.fill(line) for line in text.split("\n"))
    console.print(text, markup=False)


def step_text(line: Mapping[str, Any], steps: int, left: float, width: int | None) -> str:
    """Returns a line of metrics as text. `left`: seconds until the end of the run. `width`: columns of the terminal, at
    which the text is continued in an indented line; None for one line whatever its length."""
    parts = [f"step {line['step']:,}/{steps:,}", f"epoch {line['epoch']}", f"loss {line['loss']:.3f}"]
    parts += [f"{line['images_per_second']:,.0f} img/s", f"wait {line['waited_share_slowest']:.0%}"]
    parts += [f"{line['mfu']:.0%} MFU"] if "mfu" in line else []
    parts += [f"{line['holes']:,} holes"] if line["holes"] else []
    return folded([*parts, f"{duration(left)} left"], width)


def folded(parts: list[str], width: int | None) -> str:
    """Joins parts by two spaces, in lines of at most `width` columns where each part is narrower than that; all lines but
    the first are indented."""
    lines = [parts[0]]
    for part in parts[1:]:
        if width is not None and len(lines[-1]) + 2 + len(part) > width:
            lines.append(f"  {part}")
        else:
            lines[-1] += f"  {part}"
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Returns a time in its two largest units."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY:,} d {whole % DAY // HOUR} h"


def accuracy_text(result: Mapping[str, Any]) -> list[str]:
    """Returns the accuracies of an evaluation as lines; empty for an evaluation without images."""
    found = []
    for name, each in (("model", result), ("average", result.get("average"))):
        if not each or "top1" not in each:
            continue
        words = [f"top-1 {each['top1']:.1%}", f"top-5 {each['top5']:.1%}"]
        words += [f"{third} {own['mean_class_accuracy']:.1%}" for third, own in _thirds(each)]
        found.append(f"{'accuracy' if name == 'model' else 'of average':<10} {'  '.join(words)}")
    return found


def learnt_text(result: Mapping[str, Any]) -> str:
    """Returns the final evaluation in words: accuracies, what they compare with, and on how many images they were judged."""
    if "evaluated" not in result:
        return "accuracy   not known: the corpus has no held-out images with labels (ingest with --holdout N)"
    images, holes = result["evaluated"]["pictures"], result["evaluated"]["holes"]
    less = f", {holes:,} more could not be read" if holes else ""
    most = safe_text(result["majority_label"], LABEL_CELLS)
    chance = f"a random label {result['chance']:.1%}, always {most} {result['majority']:.1%}"
    lines = [*accuracy_text(result), f"judged     on {images:,} held-out images{less}", f"compare    {chance}"]
    return "\n".join(lines)


def _thirds(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, own) for name, own in result.get("labels", {}).items() if "mean_class_accuracy" in own]
