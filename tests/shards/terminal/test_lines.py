"""The layout of endings: nothing is lost, nothing is wider than a line, and numbers have units."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from tagmill.shards.terminal.lines import (
    Figure,
    columns,
    figure_lines,
    print_lines,
    seconds_text,
    size_text,
    warning_lines,
    width_of,
    wrapped,
)

words = st.lists(st.text(st.sampled_from("ab-\u6f22"), min_size=1, max_size=30), max_size=12)


@given(words, st.integers(2, 40))
def test_wrapped_lines_fit_and_have_every_word(found: list[str], width: int) -> None:
    lines = wrapped(" ".join(found), width)
    assert lines and all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(found)
    if all(cell_len(word) <= width for word in found):
        assert " ".join(lines).split() == found


def test_figures_are_two_columns_with_their_legend_below_the_value() -> None:
    figures = [Figure("shards", "12", "tar files, of at most 1 GB"), Figure("\u6f22", "5 MB")]
    assert figure_lines(figures, 24) == [
        "shards  12",
        "        tar files, of at",
        "        most 1 GB",
        "\u6f22      5 MB",
    ]
    assert figure_lines([]) == []


def test_columns_are_as_wide_as_their_widest_text() -> None:
    assert columns([("a", "1", ""), ("\u6f22\u6f22", "1,000", "x")], [1]) == ["a         1", "\u6f22\u6f22  1,000  x"]


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_500, "1.5 kB"),
        (999_600, "1.0 MB"),
        (24e10, "240 GB"),
        (3.2e18, "3,200.0 PB"),
    ],
)
def test_sizes_have_units(size: float, shown: str) -> None:
    assert size_text(size) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0.51, "0.5 s"), (9.96, "10 s"), (59, "59 s"), (7_020.2, "1:57:00")])
def test_times_have_units(seconds: float, shown: str) -> None:
    assert seconds_text(seconds) == shown


def test_lines_are_printed_as_they_are_and_warnings_in_colour() -> None:
    plain, terminal = Console(file=io.StringIO(), width=9), Console(file=io.StringIO(), force_terminal=True, width=60)
    lines = ["[red]a long line of a text", *warning_lines(["one two"], 13), "", "         not a warning"]
    for console in (plain, terminal):
        print_lines(lines, console)
    assert plain.file.getvalue() == "\n".join(lines) + "\n"  # type: ignore[attr-defined]
    first, warning, rest, *others = terminal.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert first == lines[0] and "\x1b[33m" in warning and "\x1b[33m" in rest and "\x1b" not in "".join(others)
    assert (width_of(plain), width_of(terminal)) == (80, 60)
