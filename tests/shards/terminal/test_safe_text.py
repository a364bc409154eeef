"""No text moves a terminal's cursor, changes its order or colour, breaks its line, or takes long."""

import io
import logging
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from tagmill.shards.terminal.safe_text import (
    CUT,
    MARKS,
    SafeFormatter,
    escape_what_cannot_be_encoded,
    safe_cell,
    safe_text,
)

HOSTILE = "\x00\x07\x1b\x9b\r\n\t\x7f\x85\u200b\u200d\u202e\u2066\u2069\ufeff\u034f\u3164\ufe0f\ud800\U000e0001\u2028"
# Any characters, with those that harm and those that combine or are wide more often than by chance.
texts = st.text(
    st.characters() | st.sampled_from(HOSTILE) | st.sampled_from("a\u0301\u0489\u0e31[]\\/\u6f22\U0001f43b")
)


@given(texts, st.integers(3, 90))
@example("\U000e0100" * 9, 3)
@example("\u6f22" * 50, 9)
def test_any_text_is_one_line_without_a_control_that_fits(text: str, cells: int) -> None:
    shown = safe_text(text, cells)
    assert cell_len(shown) <= cells
    assert all(char.isprintable() for char in shown)
    assert not set(HOSTILE) & set(shown)
    marks = "".join("m" if unicodedata.category(char) in ("Mn", "Me") else "." for char in "x" + shown)
    assert "m" * (MARKS + 1) not in marks and not marks.startswith(".m")
    plain = "".join(char for char in text if char.isprintable())
    if plain == text and text.isascii() and len(text) <= cells:
        assert shown == text


@given(texts)
def test_an_uncut_text_has_the_same_characters_in_the_same_order(text: str) -> None:
    """Escapes can be read back; a backslash of the text itself stays single, so a text with one is left out."""
    text = text.replace("\\", "/")
    shown = safe_text(text, 10 * len(text) + 3)
    back = re.sub(r"\\(?:[tnr]|x..|u.{4}|U.{8})", lambda at: at[0].encode().decode("unicode_escape"), shown)
    assert back == text


@given(texts, st.integers(3, 60))
def test_a_cut_text_begins_like_the_whole_one_and_says_that_it_is_cut(text: str, cells: int) -> None:
    whole, shown = safe_text(text, 10 * len(text) + 3), safe_text(text, cells)
    assert shown == whole or (shown.endswith(CUT) and whole.startswith(shown[: -len(CUT)]))


@pytest.mark.parametrize("text", ["a" * 1_000_000, "\u0301" * 1_000_000, "\x1b]0;" * 250_000])
def test_a_text_of_a_megabyte_costs_no_more_than_what_is_shown(text: str) -> None:
    class Counted(str):
        """Counts the characters that are looked at."""

        seen = 0

        def __iter__(self):  # type: ignore[no-untyped-def]
            for char in str.__iter__(self):
                Counted.seen += 1
                yield char

    assert cell_len(safe_text(Counted(text), 60)) <= 60 and Counted.seen <= 4 * 60 + 2


@given(texts)
def test_a_cell_of_a_table_has_no_markup(text: str) -> None:
    console = Console(file=io.StringIO(), width=400, force_terminal=True)
    console.print(safe_cell("[bold red]" + text))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in shown and "[bold red]" in shown and shown.count("\n") == 1


def test_a_log_keeps_a_line_for_each_record_and_the_lines_of_a_traceback() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(SafeFormatter("%(message)s"))
    log = logging.Logger("of_this_test")
    log.addHandler(handler)
    log.warning("column %s", "a\nb\x1b[2J")
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        log.exception("it failed")
    first, second, *rest = stream.getvalue().splitlines()
    assert first == r"column a\nb\x1b[2J" and second == "it failed"
    assert rest[0].startswith("Traceback") and rest[-1] == r"ValueError: \x1b[2J"


def test_a_stream_of_another_encoding_takes_any_tag() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii")
    escape_what_cannot_be_encoded(stream, io.StringIO())
    stream.write("b\u00e4r")
    stream.flush()
    assert raw.getvalue() == rb"b\xe4r"
