"""Lays out what a command prints at its end: figures with their meaning, lists and warnings, as lines of plain text."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from tagmill.shards.terminal.safe_text import safe_text

WIDTH = 80  # columns of a text that is not for a terminal
WIDEST = 100  # columns of a text on a wide terminal: longer lines are hard to read
WARNING = "warning: "
COMMAND_CELLS = 4000


class Figure(NamedTuple):
    """A figure, and what a reader needs to judge it."""

    name: str
    value: str
    legend: str = ""  # its unit, what it means and what is good


def figure_lines(figures: Iterable[Figure], width: int = WIDTH) -> list[str]:
    """Returns two columns, name and value, with the legend of each figure below its value."""
    rows = list(figures)
    indent = max((cell_len(row.name) for row in rows), default=0) + 2
    lines = list[str]()
    for row in rows:
        texts = [*wrapped(row.value, width - indent), *(wrapped(row.legend, width - indent) if row.legend else [])]
        lines.append(padded_to(row.name, indent) + texts[0])
        lines += [" " * indent + text for text in texts[1:]]
    return lines


def warning_lines(warnings: Iterable[str], width: int = WIDTH) -> list[str]:
    """Returns each warning, wrapped below its first word."""
    lines = list[str]()
    for text in warnings:
        first, *rest = wrapped(text, width - len(WARNING))
        lines += [WARNING + first, *(" " * len(WARNING) + each for each in rest)]
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """Returns at least one line of at most `width` (at least 2) columns; only a word wider than that is broken."""
    lines, line = list[str](), ""
    for word in text.split():
        if line and cell_len(line) + 1 + cell_len(word) > width:
            lines.append(line)
            line = ""
        line += " " * bool(line) + word
        while cell_len(line) > width:
            part = set_cell_size(line, width).rstrip()
            lines.append(part)
            line = line[len(part) :]
    return [*lines, line] if line or not lines else lines


def padded_to(text: str, cells: int) -> str:
    """Returns text with spaces behind it, up to `cells` columns; a wider one is as it was."""
    return text + " " * max(0, cells - cell_len(text))


def columns(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Returns rows of texts as aligned columns, two spaces apart; those with a number in `right` end at one column."""
    to_the_right = set(right)
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]  # none without rows
    lines = list[str]()
    for row in rows:
        cells = [
            " " * (width - cell_len(text)) + text if number in to_the_right else padded_to(text, width)
            for number, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def command_line(*words: str) -> str:
    """Returns a command as it can be pasted into a shell; a word that would harm a terminal has escapes."""
    return safe_text(shlex.join(words), COMMAND_CELLS)


def next_lines(*commands: str) -> list[str]:
    """Returns an empty line, and the commands to go on with; they are not wrapped, so that they can be copied."""
    return ["", "Next:", *(f"  {command}" for command in commands)] if commands else []


def size_text(size: float) -> str:
    """Returns a number of bytes with its unit: 12 bytes, 1.5 kB, 240 GB."""
    if size < 1000:
        return f"{size:,.0f} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5:
            return f"{size:.1f} {unit}" if size < 99.95 else f"{size:.0f} {unit}"
    return f"{size / 1000:,.1f} PB"


def seconds_text(seconds: float) -> str:
    """Returns a time: 0.5 s, 12 s, 1:57:00, 2 days, 3:00:00."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return str(timedelta(seconds=round(seconds)))


def width_of(console: Console) -> int:
    """Returns the columns that a text may have: those of a terminal up to `WIDEST`, elsewhere `WIDTH`."""
    return min(console.width, WIDEST) if console.is_terminal else WIDTH


def print_lines(lines: Iterable[str], console: Console | None = None) -> None:
    """Prints lines as they are, without markup and without wrapping; on a terminal warnings are yellow."""
    console = console or Console(file=sys.stdout)
    for text in _styled(lines):
        console.print(text, soft_wrap=True)


def _styled(lines: Iterable[str]) -> Iterator[Text]:
    within = False  # lines of a warning below its first are indented
    for line in lines:
        within = line.startswith(WARNING) or (within and line.startswith(" " * len(WARNING)))
        yield Text(line, "yellow" if within else "")
