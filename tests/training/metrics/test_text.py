"""Tests metrics as lines for people."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tagmill.training.metrics.text import accuracy_text, duration, folded, learnt_text, say, step_text

LINE = {"step": 1234567, "epoch": 12, "loss": 12.3456, "images_per_second": 123456.0, "holes": 0}
LINE |= {"waited_share_slowest": 0.034}


def test_a_line_has_what_a_person_looks_for() -> None:
    text = step_text(LINE, 2_000_000, 3 * 86400 + 7200, None)
    assert text == "step 1,234,567/2,000,000  epoch 12  loss 12.346  123,456 img/s  wait 3%  3 d 2 h left"
    text = step_text({**LINE, "holes": 3, "mfu": 0.41}, 2_000_000, 1, None)
    assert text.endswith("wait 3%  41% MFU  3 holes  1 s left")


def test_usual_lines_fit_into_80_columns() -> None:
    usual = {**LINE, "step": 12_340, "loss": 6.123, "images_per_second": 1234.0}
    text = step_text(usual, 500_000, 3 * 86400, 80)
    assert "\n" not in text and len(text) <= 80


@given(
    step=st.integers(1, 10**9),
    loss=st.floats(0, 1e6),
    rate=st.floats(0, 1e7),
    holes=st.integers(0, 10**6),
    left=st.floats(0, 1e9),
    width=st.integers(40, 200),
)
def test_nothing_wraps_or_vanishes(step: int, loss: float, rate: float, holes: int, left: float, width: int) -> None:
    line = {**LINE, "step": step, "loss": loss, "images_per_second": rate, "holes": holes, "mfu": 0.5}
    whole, shown = step_text(line, 10**9, left, None), step_text(line, 10**9, left, width)
    assert "\n" not in whole and all(len(each) <= width for each in shown.split("\n"))
    assert " ".join(shown.split()) == " ".join(whole.split())


def test_a_part_that_is_wider_than_the_terminal_has_a_line_of_its_own() -> None:
    assert folded(["a", "b" * 50, "c"], 40) == f"a\n  {'b' * 50}\n  c"


@given(seconds=st.floats(0, 1e9))
def test_a_duration_in_its_two_largest_units(seconds: float) -> None:
    units = {"s": 1, "min": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"([\d,]+) (\w+)", duration(seconds))
    value = sum(int(number.replace(",", "")) * units[unit] for number, unit in parts)
    assert 1 <= len(parts) <= 2 and value <= round(seconds) < value + max(1, units[parts[-1][1]])


@pytest.mark.parametrize(("terminal", "rows"), [(True, 3), (False, 1)])
def test_a_wide_line_is_continued_between_words_on_a_terminal_only(terminal: bool, rows: int) -> None:
    console = Console(file=io.StringIO(), width=40, force_terminal=terminal, highlight=False, soft_wrap=True)
    say(console, "loader     [1/2] images of a/long-path/that-is-not-cut, and more words after it\nend")
    *shown, end = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert end == "end" and len(shown) == rows
    assert (
        " ".join(" ".join(shown).split())
        == "loader [1/2] images of a/long-path/that-is-not-cut, and more words after it"
    )
    assert all(line.startswith(" " * 11) for line in shown[1:])


RESULT = {
    "top1": 0.5,
    "top5": 0.75,
    "chance": 0.01,
    "majority": 0.2,
    "majority_label": "dog",
    "labels": {"head": {"mean_class_accuracy": 0.6}, "tail": {"labels": 3}},
    "evaluated": {"pictures": 1234, "holes": 0},
}


def test_the_last_lines_say_on_how_many_images_a_model_was_judged() -> None:
    text = learnt_text({**RESULT, "average": {**RESULT, "top1": 0.55}})
    assert text.split("\n") == [
        "accuracy   top-1 50.0%  top-5 75.0%  head 60.0%",
        "of average top-1 55.0%  top-5 75.0%  head 60.0%",
        "judged     on 1,234 held-out images",
        "compare    a random label 1.0%, always dog 20.0%",
    ]
    assert "2 more could not be read" in learnt_text({**RESULT, "evaluated": {"pictures": 5, "holes": 2}})
    assert "--holdout N" in learnt_text({"trained": {}}) and accuracy_text({}) == []


@given(label=st.text(max_size=60))
def test_a_label_moves_no_cursor_and_breaks_no_line(label: str) -> None:
    text = learnt_text({**RESULT, "majority_label": f"{label}\x1b[2J\n\u202e"})
    assert text.count("\n") == 2 and text.replace("\n", "").isprintable()


def test_no_text_that_is_said_moves_a_cursor() -> None:
    console = Console(file=io.StringIO(), highlight=False, soft_wrap=True)
    say(console, "init       not used: \x1b]0;title\x07[bold]\nloader     \u202egpj.exe")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown == "init       not used: \\x1b]0;title\\x07[bold]\nloader     \\u202egpj.exe\n"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_accuracies_fit_into_80_columns(share: float) -> None:
    thirds = {name: {"mean_class_accuracy": share} for name in ("head", "middle", "tail")}
    (text,) = accuracy_text({"top1": share, "top5": share, "labels": thirds})
    assert len(text) <= 80
